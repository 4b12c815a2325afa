//! The messages that wait for a batch, in the order in which they may be sent.

use tokio::time::Instant;

use self::fifo::FifoQueueMessages;
use self::standard::StandardQueueMessages;
use super::batch::Batch;
use super::config::GroupOrder;
use super::entry::Entry;

mod fifo;
mod standard;

/// The waiting messages of a queue.
#[derive(Debug)]
pub(super) enum WaitingMessages {
    Standard(StandardQueueMessages),
    Fifo(FifoQueueMessages),
}

impl WaitingMessages {
    pub(super) fn standard() -> Self {
        Self::Standard(StandardQueueMessages::default())
    }

    pub(super) fn fifo(order: GroupOrder) -> Self {
        Self::Fifo(FifoQueueMessages::new(order))
    }

    /// Adds a new message.
    pub(super) fn push(&mut self, entry: Entry) {
        match self {
            Self::Standard(messages) => messages.insert(entry),
            Self::Fifo(messages) => messages.push(entry),
        }
    }

    /// Adds a message that was taken for a batch and must be sent again.
    pub(super) fn readmit(&mut self, entry: Entry) {
        match self {
            Self::Standard(messages) => messages.insert(entry),
            Self::Fifo(messages) => messages.readmit(entry),
        }
    }

    /// Records that a message of this group, which was taken for a batch, is not sent again.
    pub(super) fn settle(&mut self, group: &str) {
        match self {
            Self::Standard(_) => {}
            Self::Fifo(messages) => messages.settle(group),
        }
    }

    /// Returns the time at which the next batch is sent even if it is not full.
    pub(super) fn earliest_due(&self) -> Option<Instant> {
        match self {
            Self::Standard(messages) => messages.earliest_due(),
            Self::Fifo(messages) => messages.earliest_due(),
        }
    }

    /// Returns `true` if the messages that may be sent now fill a batch.
    pub(super) fn has_full_batch(&self) -> bool {
        match self {
            Self::Standard(messages) => messages.has_full_batch(),
            Self::Fifo(messages) => messages.has_full_batch(),
        }
    }

    /// Makes the messages that wait for others due.
    pub(super) fn make_due(&mut self, now: Instant) {
        match self {
            Self::Standard(messages) => messages.make_due(now),
            Self::Fifo(messages) => messages.make_due(now),
        }
    }

    /// Makes the message due that is sent first. On a FIFO queue, the one that is due first is.
    pub(super) fn make_first_due(&mut self, now: Instant) {
        match self {
            Self::Standard(messages) => messages.make_first_due(now),
            Self::Fifo(_) => {}
        }
    }

    /// Takes messages for one call, and discards those whose send was dropped. The batch may be
    /// empty.
    pub(super) fn take_batch(&mut self) -> Batch {
        match self {
            Self::Standard(messages) => messages.take_batch(),
            Self::Fifo(messages) => messages.take_batch(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Standard(messages) => messages.is_empty(),
            Self::Fifo(messages) => messages.is_empty(),
        }
    }

    /// Removes the message of this group at this position in the order of arrival.
    pub(super) fn remove(&mut self, group: &str, sequence: u64) -> Option<Entry> {
        match self {
            Self::Standard(messages) => messages.remove(sequence),
            Self::Fifo(messages) => messages.remove(group, sequence),
        }
    }

    /// Removes the messages of a group, one of which was taken for a batch.
    pub(super) fn drain_group(&mut self, group: &str) -> Vec<Entry> {
        match self {
            Self::Standard(_) => Vec::new(),
            Self::Fifo(messages) => messages.drain_group(group),
        }
    }

    /// Removes all messages.
    pub(super) fn drain(&mut self) -> Vec<Entry> {
        match self {
            Self::Standard(messages) => messages.drain(),
            Self::Fifo(messages) => messages.drain(),
        }
    }
}
