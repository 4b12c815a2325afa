//! Time for the queues, which receive it as an argument and require that it never runs backwards.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Milliseconds since the Unix epoch, as in SQS's own timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp(u64);

impl Timestamp {
    #[cfg(test)]
    pub(crate) fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    pub(crate) fn millis(self) -> u64 {
        self.0
    }

    pub(crate) fn seconds(self) -> u64 {
        self.0 / 1_000
    }

    pub(crate) fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    pub(crate) fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// Returns the time since `earlier`, or zero if `earlier` is later.
    pub(crate) fn duration_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Wall-clock time at the start, advanced by the monotonic clock, so that a change of the system
/// time does not affect the queues.
#[derive(Debug)]
pub(crate) struct Clock {
    origin: Timestamp,
    started: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            origin: Timestamp(millis(since_epoch)),
            started: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.origin.saturating_add(self.started.elapsed())
    }

    /// Returns the instant at which `now()` reaches `timestamp`.
    pub(crate) fn to_instant(&self, timestamp: Timestamp) -> Instant {
        self.started + timestamp.duration_since(self.origin)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
