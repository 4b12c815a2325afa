//! Environments that end before their time, told to whoever watches.

use std::fmt;

use tokio::sync::broadcast;

use super::EnvironmentId;

/// How many ends a watcher may leave unread: it is shown to a person, who has long seen what the
/// matter is.
const UNREAD_ENDS: usize = 64;

/// An environment that ended before its time. Everything that it wrote is in the log by then.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EarlyEnd {
    /// The environment.
    pub environment: EnvironmentId,
    /// What happened to it.
    pub trouble: Trouble,
}

/// What can happen to an environment before its time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// The process ended, or reported an error, before it asked for its first event.
    CannotStart,
    /// The process ended in the middle of its work.
    Died,
    /// The process was killed because an invocation took too long.
    TimedOut,
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::CannotStart => "the function cannot start",
            Self::Died => "the function died before its time",
            Self::TimedOut => "the function was killed because an invocation took too long",
        })
    }
}

/// Where early ends are told.
#[derive(Debug)]
pub(super) struct EarlyEnds(broadcast::Sender<EarlyEnd>);

impl Default for EarlyEnds {
    fn default() -> Self {
        Self(broadcast::Sender::new(UNREAD_ENDS))
    }
}

impl EarlyEnds {
    pub(super) fn tell(&self, end: EarlyEnd) {
        // An error only says that nobody watches.
        let _ = self.0.send(end);
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<EarlyEnd> {
        self.0.subscribe()
    }
}
