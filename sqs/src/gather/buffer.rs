//! The buffer: decides which messages are sent together, and when.

use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::time::Instant;

use super::arrival_rate::ArrivalRate;
use super::config::GatherConfig;
use super::entry::Entry;
use super::retry_queue::RetryQueue;
use super::waiting_messages::WaitingMessages;

/// Minimum number of messages expected within the linger for a message to wait for them. With
/// fewer, waiting would save less than two thirds of the calls, and every message would arrive
/// later.
const MIN_EXPECTED_ARRIVALS: f64 = 2.0;

/// All messages of a sender that SQS has not confirmed, except those in flight.
///
/// It has no clock and starts nothing: each method gets the current time.
#[derive(Debug)]
pub(super) struct Buffer {
    waiting: WaitingMessages,
    retries: RetryQueue,
    linger: Duration,
    max_batches_in_flight: NonZeroUsize,
    batches_in_flight: usize,
    arrivals: ArrivalRate,
    next_sequence: u64,
    is_closed: bool,
}

/// Condition for a message to wait for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LingerPolicy {
    /// The message waits if others are likely to arrive within the linger.
    IfLikely,
    /// The message waits, because others of the same list follow.
    Always,
}

impl Buffer {
    pub(super) fn new(waiting: WaitingMessages, config: &GatherConfig) -> Self {
        Self {
            waiting,
            retries: RetryQueue::default(),
            linger: config.linger,
            max_batches_in_flight: config.max_batches_in_flight,
            batches_in_flight: 0,
            arrivals: ArrivalRate::default(),
            next_sequence: 0,
            is_closed: false,
        }
    }

    /// Adds a message, and returns its position in the order of arrival. Returns the message if the
    /// buffer is closed.
    pub(super) fn push(
        &mut self,
        mut entry: Entry,
        policy: LingerPolicy,
        now: Instant,
    ) -> Result<u64, Entry> {
        if self.is_closed {
            return Err(entry);
        }
        let expected = self.arrivals.record(now, self.linger);
        let waits = policy == LingerPolicy::Always || expected >= MIN_EXPECTED_ARRIVALS;
        entry.due = if waits { now + self.linger } else { now };
        let sequence = self.next_sequence;
        entry.sequence = sequence;
        self.next_sequence += 1;
        self.waiting.push(entry);
        if !waits {
            // An older message may wait for others. They go together.
            self.waiting.make_first_due(now);
        }
        Ok(sequence)
    }

    /// Makes the messages that wait for others due.
    pub(super) fn flush(&mut self, now: Instant) {
        self.waiting.make_due(now);
    }

    /// Takes the messages of the next call, if it is to start now. It counts as in flight until
    /// [`end_batch`](Self::end_batch).
    pub(super) fn next_batch(&mut self, now: Instant) -> Option<Vec<Entry>> {
        self.readmit_retries(now);
        while self.can_start_batch() && self.has_batch(now) {
            let batch = self.waiting.take_batch();
            // The batch is empty if no caller waits for its messages.
            if !batch.is_empty() {
                self.batches_in_flight += 1;
                return Some(batch.into_entries());
            }
        }
        None
    }

    /// Returns the time at which a call must start if nothing else happens before.
    pub(super) fn next_wakeup(&self) -> Option<Instant> {
        if !self.can_start_batch() {
            return None;
        }
        [self.retries.earliest_due(), self.waiting.earliest_due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Records the end of a call.
    pub(super) fn end_batch(&mut self) {
        self.batches_in_flight -= 1;
    }

    /// Adds a message of an ended call that is sent again at this time.
    pub(super) fn delay(&mut self, mut entry: Entry, until: Instant) {
        entry.due = until;
        self.retries.push(entry);
    }

    /// Adds a message of an ended call that is sent again at once.
    pub(super) fn readmit(&mut self, mut entry: Entry, now: Instant) {
        entry.due = now;
        self.waiting.readmit(entry);
    }

    /// Records that a message of an ended call is not sent again.
    pub(super) fn settle(&mut self, group: &str) {
        self.waiting.settle(group);
    }

    /// Accepts no more messages, and makes all messages in the buffer due.
    pub(super) fn close(&mut self, now: Instant) {
        self.is_closed = true;
        for entry in self.retries.drain() {
            self.readmit(entry, now);
        }
        self.waiting.make_due(now);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Returns `true` if no message is in the buffer or in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.batches_in_flight == 0 && self.retries.is_empty() && self.waiting.is_empty()
    }

    /// Removes the messages of a group that wait. On a standard queue, `group` is ignored.
    pub(super) fn drain_group(&mut self, group: &str) -> Vec<Entry> {
        self.waiting.drain_group(group)
    }

    /// Removes all messages that are not in flight.
    pub(super) fn drain(&mut self) -> Vec<Entry> {
        let mut entries = self.retries.drain();
        for entry in &entries {
            self.waiting.settle(entry.group());
        }
        entries.append(&mut self.waiting.drain());
        entries
    }

    /// Removes the message of this group at this position, unless it is in flight. On a standard
    /// queue, `group` is ignored.
    pub(super) fn remove(&mut self, group: &str, sequence: u64) -> Option<Entry> {
        let waiting = self.waiting.remove(group, sequence);
        waiting.or_else(|| {
            let entry = self.retries.remove(sequence)?;
            self.waiting.settle(group);
            Some(entry)
        })
    }

    fn can_start_batch(&self) -> bool {
        self.batches_in_flight < self.max_batches_in_flight.get()
    }

    fn has_batch(&self, now: Instant) -> bool {
        let is_due = self.waiting.earliest_due().is_some_and(|due| due <= now);
        is_due || self.waiting.has_full_batch()
    }

    /// Returns the messages whose retry is due to the waiting ones.
    fn readmit_retries(&mut self, now: Instant) {
        for entry in self.retries.take_due(now) {
            self.readmit(entry, now);
        }
    }
}

#[cfg(test)]
mod tests;
