//! Environments that end before their time, told to whoever watches.

use std::fmt;

use tokio::sync::broadcast;

use super::EnvironmentId;

/// How many ends a watcher may leave unread: it is shown to a person, who has long seen what the
/// matter is.
const UNREAD_ENDS: usize = 64;

/// An environment that ended before its time. Everything that it wrote is in the log by then.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EarlyExit {
    /// The environment.
    pub environment: EnvironmentId,
    /// What happened to it.
    pub cause: EarlyExitCause,
}

/// What can happen to an environment before its time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EarlyExitCause {
    /// The process ended, or reported an error, before it asked for its first event.
    InitFailed,
    /// The process ended in the middle of its work.
    Exited,
    /// The process was killed because an invocation took too long.
    TimedOut,
}

impl fmt::Display for EarlyExitCause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::InitFailed => "the function cannot start",
            Self::Exited => "the function died before its time",
            Self::TimedOut => "the function was killed because an invocation took too long",
        })
    }
}

/// Where early ends are told.
#[derive(Debug)]
pub(super) struct EarlyExits(broadcast::Sender<EarlyExit>);

impl Default for EarlyExits {
    fn default() -> Self {
        Self(broadcast::Sender::new(UNREAD_ENDS))
    }
}

impl EarlyExits {
    pub(super) fn send(&self, end: EarlyExit) {
        // An error only says that nobody watches.
        let _ = self.0.send(end);
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<EarlyExit> {
        self.0.subscribe()
    }
}
