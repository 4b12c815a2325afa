//! The `baton` command.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    baton_local::cli::run()
}
