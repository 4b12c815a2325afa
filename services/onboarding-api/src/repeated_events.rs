//! Log events that can occur with every request. The first one is written, the others are counted.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::{error, warn};

/// Time between two writes of the counts. An outage of an hour is a few hundred lines.
const WRITE_INTERVAL: Duration = Duration::from_secs(10);

/// A kind of log event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum EventKind {
    MessageNotAccepted { error_type: String },
    MessageRejected { error_type: String },
    QueueCheckFailed { error_type: String },
    ConnectionsClosed,
    AcceptFailed,
}

/// The events of the current interval, with the number of those that were not written.
#[derive(Debug, Default)]
pub(crate) struct RepeatedEvents(Mutex<HashMap<EventKind, u64>>);

impl RepeatedEvents {
    /// Counts `count` events. Calls `write` if they are the first of the interval.
    pub(crate) fn record(&self, event: EventKind, count: u64, write: impl FnOnce()) {
        let is_first = self.add(event, count);
        if is_first {
            write();
        }
    }

    fn add(&self, event: EventKind, count: u64) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(&event) {
            Some(unwritten) => {
                *unwritten += count;
                false
            }
            None => counts.insert(event, 0).is_none(),
        }
    }

    /// Ends the interval, and returns the events that were not written.
    fn take_unwritten(&self) -> Vec<(EventKind, u64)> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // An event that was not repeated is written again when it next occurs.
        counts.retain(|_, unwritten| *unwritten > 0);
        let counts = counts.iter_mut();
        counts
            .map(|(event, unwritten)| (event.clone(), std::mem::take(unwritten)))
            .collect()
    }

    /// Writes the events that were only counted.
    pub(crate) fn write_counts(&self) {
        for (event, count) in self.take_unwritten() {
            event.write_count(count);
        }
    }

    /// Writes the counts at the end of each interval, forever.
    pub(crate) async fn write_counts_regularly(&self) -> Infallible {
        // The first tick of `interval` is immediate, so the first interval would have no length.
        let mut interval = interval_at(Instant::now() + WRITE_INTERVAL, WRITE_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.write_counts();
        }
    }
}

impl EventKind {
    /// Writes a line for `count` events, with the message of a single event.
    fn write_count(&self, count: u64) {
        match self {
            Self::MessageNotAccepted { error_type } => {
                warn!(error_type, count, "message not accepted");
            }
            Self::MessageRejected { error_type } => error!(error_type, count, "message rejected"),
            Self::QueueCheckFailed { error_type } => {
                warn!(error_type, count, "queue check failed");
            }
            Self::ConnectionsClosed => {
                warn!(count, "too many connections: closed the oldest idle ones");
            }
            Self::AcceptFailed => warn!(count, "cannot accept a connection"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(error_type: &str) -> EventKind {
        EventKind::MessageRejected {
            error_type: error_type.to_owned(),
        }
    }

    #[test]
    fn the_first_event_of_a_kind_is_written_and_the_others_are_counted() {
        let events = RepeatedEvents::default();
        let added = ["a", "a", "b", "a"].map(|error_type| events.add(rejected(error_type), 1));
        assert_eq!(added, [true, false, true, false]);
        assert_eq!(events.take_unwritten(), [(rejected("a"), 2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_interval_has_the_length_of_the_others() {
        let events = RepeatedEvents::default();
        events.add(rejected("a"), 1);
        events.add(rejected("a"), 1);
        let writes = events.write_counts_regularly();
        tokio::time::timeout(WRITE_INTERVAL / 2, writes)
            .await
            .unwrap_err();
        assert_eq!(events.take_unwritten(), [(rejected("a"), 1)]);
    }

    #[test]
    fn an_event_is_written_again_after_an_interval_without_repetitions() {
        let events = RepeatedEvents::default();
        assert!(events.add(rejected("a"), 1));
        assert!(!events.add(rejected("a"), 1));
        assert_eq!(events.take_unwritten().len(), 1);
        assert!(!events.add(rejected("a"), 5));
        assert_eq!(events.take_unwritten(), [(rejected("a"), 5)]);
        assert_eq!(events.take_unwritten(), []);
        assert!(events.add(rejected("a"), 1));
    }
}
