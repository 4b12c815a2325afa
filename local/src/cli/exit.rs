//! The exit codes, which scripts may rely on.

use std::process::ExitCode;

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// What was asked for was done; for `up`: stopped by Ctrl-C or SIGTERM.
    Done,
    /// `demo`: a number was not as it must be. `up`: something died. `replay`: not every span could
    /// be sent.
    Failed,
    /// The function and the producer could not be built.
    BuildFailed,
    /// The stack could not be started. `replay`: nothing was sent, for something was not as it must
    /// be.
    StartFailed,
    /// `replay`: every span that was found was sent, but part of the input was not understood.
    NotUnderstood,
    /// `demo` or `replay` was stopped by a signal before it had finished.
    Interrupted,
}

/// The exit codes as the help explains them; a macro, because only literals can be put together at
/// compile time. Code 2 is clap's own.
macro_rules! exit_codes {
    () => {
        "\
Exit codes:
  0    done (for `up`: stopped by Ctrl-C or SIGTERM)
  1    demo: a number is not as it must be; up: something died;
       replay: not every span that was found could be sent
  2    the arguments make no sense
  3    the function or the producer could not be built
  4    the stack could not be started; replay: nothing was sent, because of
       the file, the ledger or the environment
  5    replay: every span that was found was sent, but a part of the input
       was not understood, and may have more
  130  demo, replay: stopped by a signal before it had finished"
    };
}
pub(super) use exit_codes;

/// The exit codes, to stand below a command's help.
pub(super) const EXIT_CODES_HELP: &str = exit_codes!();

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::BuildFailed => 3,
            Exit::StartFailed => 4,
            Exit::NotUnderstood => 5,
            Exit::Interrupted => 130,
        })
    }
}
