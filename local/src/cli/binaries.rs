//! Paths of the function and the producer: from the command line, or built with cargo.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use super::exit::Exit;
use super::options::{Binaries, Paths};
use super::terminal::{self, Progress};
use crate::stack::{
    BuildError, FUNCTION, PRODUCER, StackError, build, check_function, check_producer,
};

/// Returns the paths that were given, and builds the other binaries. Errors are reported before it
/// returns.
pub(super) async fn find(given: Binaries, progress: &mut Progress) -> Result<Paths, Exit> {
    // Checked before the build, so that a wrong path is reported without waiting for it.
    check(&given).map_err(|error| {
        terminal::error(&error);
        Exit::StartFailed
    })?;
    build_missing(given, progress).await.map_err(|error| {
        terminal::error(&error);
        Exit::BuildFailed
    })
}

fn check(given: &Binaries) -> Result<(), StackError> {
    given.function.as_deref().map_or(Ok(()), check_function)?;
    given.producer.as_deref().map_or(Ok(()), check_producer)
}

async fn build_missing(given: Binaries, progress: &mut Progress) -> Result<Paths, BuildError> {
    let builds_producer = given.has_producer() && given.producer.is_none();
    match (given.function, builds_producer) {
        (Some(function), false) => Ok(Paths {
            function,
            producer: given.producer,
        }),
        (None, true) => {
            progress.begin("building the function and the producer with cargo");
            let [function, producer] = build(cargo(), [FUNCTION, PRODUCER]).await?;
            let producer = Some(producer);
            report_built(progress, Paths { function, producer })
        }
        (None, false) => {
            progress.begin("building the function with cargo");
            let [function] = build(cargo(), [FUNCTION]).await?;
            let producer = given.producer;
            report_built(progress, Paths { function, producer })
        }
        (Some(function), true) => {
            progress.begin("building the producer with cargo");
            let [producer] = build(cargo(), [PRODUCER]).await?;
            let producer = Some(producer);
            report_built(progress, Paths { function, producer })
        }
    }
}

fn report_built(progress: &mut Progress, paths: Paths) -> Result<Paths, BuildError> {
    progress.done("built");
    Ok(paths)
}

/// Returns the cargo that runs `baton`, which uses the selected toolchain, or else the one in
/// `PATH`.
fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| PathBuf::from("cargo").into())
}
