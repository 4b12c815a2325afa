//! Notifications about environments that ended early.

use std::fmt;

use tokio::sync::broadcast;

use super::EnvironmentId;

/// Maximum number of notifications that a receiver can leave unread. They are printed for a person,
/// who does not need more of them.
const UNREAD_EXITS: usize = 64;

/// An environment that ended early. Everything that it wrote is in the log by then.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EarlyExit {
    /// Number of the environment.
    pub environment: EnvironmentId,
    /// The cause.
    pub cause: EarlyExitCause,
}

/// Cause of an environment's early end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EarlyExitCause {
    /// The process exited, or reported an error, before it polled for its first event.
    InitFailed,
    /// The process exited after it had initialised.
    Exited,
    /// The process was killed because an invocation timed out.
    TimedOut,
}

impl fmt::Display for EarlyExitCause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::InitFailed => "the function failed to start",
            Self::Exited => "the function exited unexpectedly",
            Self::TimedOut => "the function timed out and was killed",
        })
    }
}

/// Sender of [`EarlyExit`]s.
#[derive(Debug)]
pub(super) struct EarlyExits(broadcast::Sender<EarlyExit>);

impl Default for EarlyExits {
    fn default() -> Self {
        Self(broadcast::Sender::new(UNREAD_EXITS))
    }
}

impl EarlyExits {
    pub(super) fn send(&self, exit: EarlyExit) {
        // An error only means that there is no receiver.
        let _ = self.0.send(exit);
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<EarlyExit> {
        self.0.subscribe()
    }
}
