//! The messages that wait for a batch, in the order in which they may be sent.

use tokio::time::Instant;

use super::batch::Batch;
use super::config::GroupOrder;
use super::entry::Entry;

mod fifo;
mod standard;

use fifo::FifoLane;
use standard::StandardLane;

/// The waiting messages of a queue.
#[derive(Debug)]
pub(super) enum Lane {
    Standard(StandardLane),
    Fifo(FifoLane),
}

impl Lane {
    pub(super) fn standard() -> Self {
        Self::Standard(StandardLane::default())
    }

    pub(super) fn fifo(order: GroupOrder) -> Self {
        Self::Fifo(FifoLane::new(order))
    }

    /// Adds a new message.
    pub(super) fn push(&mut self, entry: Entry) {
        match self {
            Self::Standard(lane) => lane.push_back(entry),
            Self::Fifo(lane) => lane.push(entry),
        }
    }

    /// Adds a message that was taken for a batch and must be sent again.
    pub(super) fn readmit(&mut self, entry: Entry) {
        match self {
            Self::Standard(lane) => lane.push_front(entry),
            Self::Fifo(lane) => lane.readmit(entry),
        }
    }

    /// Records that a message of this group, which was taken for a batch, is not sent again.
    pub(super) fn settle(&mut self, group: &str) {
        match self {
            Self::Standard(_) => {}
            Self::Fifo(lane) => lane.settle(group),
        }
    }

    /// Returns the time at which the next batch is sent even if it is not full.
    pub(super) fn earliest_due(&self) -> Option<Instant> {
        match self {
            Self::Standard(lane) => lane.earliest_due(),
            Self::Fifo(lane) => lane.earliest_due(),
        }
    }

    /// Returns `true` if the messages that may be sent now fill a batch.
    pub(super) fn has_full_batch(&self) -> bool {
        match self {
            Self::Standard(lane) => lane.has_full_batch(),
            Self::Fifo(lane) => lane.has_full_batch(),
        }
    }

    /// Makes the messages that wait for others due.
    pub(super) fn make_due(&mut self, now: Instant) {
        match self {
            Self::Standard(lane) => lane.make_due(now),
            Self::Fifo(lane) => lane.make_due(now),
        }
    }

    /// Takes messages for one call, and discards those whose send was dropped. The batch may be
    /// empty.
    pub(super) fn take_batch(&mut self) -> Batch {
        match self {
            Self::Standard(lane) => lane.take_batch(),
            Self::Fifo(lane) => lane.take_batch(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Standard(lane) => lane.is_empty(),
            Self::Fifo(lane) => lane.is_empty(),
        }
    }

    /// Removes all messages.
    pub(super) fn drain(&mut self) -> Vec<Entry> {
        match self {
            Self::Standard(lane) => lane.drain(),
            Self::Fifo(lane) => lane.drain(),
        }
    }
}
