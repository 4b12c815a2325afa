//! Paths of the function and the producer: from the command line, or built with cargo.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use super::exit::Exit;
use super::options::{Binaries, Paths};
use super::terminal::{self, Progress};
use crate::stack::{
    self, Binary, BuildError, FUNCTION, PRODUCER, StackError, check_checkout, check_function,
    check_producer,
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
    let missing_producer = given.has_producer() && given.producer.is_none();
    match (given.function, missing_producer) {
        (Some(function), false) => Ok(Paths {
            function,
            producer: given.producer,
        }),
        (None, true) => {
            let binaries = [FUNCTION, PRODUCER];
            let [function, producer] =
                build(binaries, "the function and the producer", progress).await?;
            let producer = Some(producer);
            Ok(Paths { function, producer })
        }
        (None, false) => {
            let [function] = build([FUNCTION], "the function", progress).await?;
            let producer = given.producer;
            Ok(Paths { function, producer })
        }
        (Some(function), true) => {
            let [producer] = build([PRODUCER], "the producer", progress).await?;
            let producer = Some(producer);
            Ok(Paths { function, producer })
        }
    }
}

async fn build<const N: usize>(
    binaries: [Binary; N],
    names: &str,
    progress: &mut Progress,
) -> Result<[PathBuf; N], BuildError> {
    check_checkout(&binaries)?;
    progress.begin(&format!("building {names} with cargo"));
    let paths = stack::build(cargo(), binaries).await?;
    progress.done("built");
    Ok(paths)
}

/// Returns the cargo that runs `baton`, which uses the selected toolchain, or else the one in
/// `PATH`.
fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| PathBuf::from("cargo").into())
}
