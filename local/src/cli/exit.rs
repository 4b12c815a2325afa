//! The exit codes, which scripts may rely on.

use std::process::ExitCode;

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// What was asked for was done; for `up`: stopped by Ctrl-C or SIGTERM.
    Done,
    /// `demo`: a number was not as it must be. `up`: something died.
    Failed,
    /// The function and the producer could not be built.
    BuildFailed,
    /// The stack could not be started.
    StartFailed,
    /// `demo` was stopped by a signal before it had finished.
    Interrupted,
}

/// The exit codes as the help explains them. Code 2 (bad arguments) is clap's own.
pub(super) const EXPLAINED: &str = "\
Exit codes:
  0    done (for `up`: stopped by Ctrl-C or SIGTERM)
  1    demo: a number is not as it must be; up: something died
  2    the arguments make no sense
  3    the function or the producer could not be built
  4    the stack could not be started
  130  demo: stopped by a signal before it had finished";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::BuildFailed => 3,
            Exit::StartFailed => 4,
            Exit::Interrupted => 130,
        })
    }
}
