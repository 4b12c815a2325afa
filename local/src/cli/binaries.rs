//! Where the two binaries come from: the command line, or cargo.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use super::options::{Binaries, Paths};
use super::terminal::Progress;
use crate::stack::{BuildError, FUNCTION, PRODUCER, build};

/// Answers the paths that were given, and builds what was not.
pub(super) async fn find(given: Binaries, progress: &mut Progress) -> Result<Paths, BuildError> {
    match (given.function, given.producer) {
        (Some(function), Some(producer)) => Ok(Paths { function, producer }),
        (None, None) => {
            progress.begin("building the function and the producer with cargo");
            let [function, producer] = build(cargo(), [FUNCTION, PRODUCER]).await?;
            built(progress, Paths { function, producer })
        }
        (None, Some(producer)) => {
            progress.begin("building the function with cargo");
            let [function] = build(cargo(), [FUNCTION]).await?;
            built(progress, Paths { function, producer })
        }
        (Some(function), None) => {
            progress.begin("building the producer with cargo");
            let [producer] = build(cargo(), [PRODUCER]).await?;
            built(progress, Paths { function, producer })
        }
    }
}

fn built(progress: &mut Progress, paths: Paths) -> Result<Paths, BuildError> {
    progress.done("built");
    Ok(paths)
}

/// The cargo that runs us, which knows the toolchain that was asked for, else the one in the path.
fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| PathBuf::from("cargo").into())
}
