//! The exit codes, which scripts may rely on.

use std::process::ExitCode;

/// Result of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// The command succeeded; for `up` and `load --serve`: stopped by Ctrl-C or SIGTERM.
    Done,
    /// `demo`: a count was not as expected. `load`: a request failed, or an accepted message is
    /// missing. `up`: a part of the stack stopped. `replay`: some spans could not be sent.
    Failed,
    /// The function or the producer could not be built.
    BuildFailed,
    /// The stack could not be started. `load`: the target does not accept connections, or --serve
    /// cannot listen. `replay`: nothing was sent, because of an error in a file, the ledger or the
    /// environment.
    StartFailed,
    /// `replay`: every span that was found was sent, but a part of the input is unreadable.
    UnreadableInput,
    /// `demo`, `load` or `replay` was stopped by a signal.
    Interrupted,
}

/// The exit codes as text for `--help`. It is a macro because `concat!` accepts only literals. Code
/// 2 is clap's own.
macro_rules! exit_codes {
    () => {
        "\
Exit codes:
  0    success (for `up` and `load --serve`: stopped by Ctrl-C or SIGTERM)
  1    demo: a count is not as expected; load: a request failed, or an
       accepted message is missing; up: a part of the stack stopped;
       replay: some spans could not be sent
  2    invalid arguments
  3    the function or the producer could not be built
  4    the stack could not be started; load: the target does not accept
       connections, or --serve cannot listen; replay: nothing was sent,
       because of an error in a file, the ledger or the environment
  5    replay: every span that was found was sent, but a part of the input
       is unreadable and may contain more spans
  130  demo, load, replay: stopped by a signal"
    };
}
pub(super) use exit_codes;

/// The exit codes, printed at the end of a command's help.
pub(super) const EXIT_CODES_HELP: &str = exit_codes!();

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::BuildFailed => 3,
            Exit::StartFailed => 4,
            Exit::UnreadableInput => 5,
            Exit::Interrupted => 130,
        })
    }
}
