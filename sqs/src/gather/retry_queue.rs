//! The messages that wait for a retry.

use std::collections::{BTreeSet, HashMap};

use tokio::time::Instant;

use super::entry::Entry;

/// Messages whose call failed, each with the time of its retry ([`due`](Entry::due)).
#[derive(Debug, Default)]
pub(super) struct RetryQueue {
    /// By their positions in the order of arrival.
    entries: HashMap<u64, Entry>,
    /// Times and positions of the entries.
    times: BTreeSet<(Instant, u64)>,
}

impl RetryQueue {
    pub(super) fn push(&mut self, entry: Entry) {
        self.times.insert((entry.due, entry.sequence));
        self.entries.insert(entry.sequence, entry);
    }

    pub(super) fn earliest_due(&self) -> Option<Instant> {
        let (due, _) = self.times.first()?;
        Some(*due)
    }

    /// Removes the messages that are due.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Entry> {
        if self.earliest_due().is_none_or(|due| due > now) {
            return Vec::new();
        }
        let later = self.times.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut self.times, later);
        self.take(due)
    }

    /// Removes all messages.
    pub(super) fn drain(&mut self) -> Vec<Entry> {
        let all = std::mem::take(&mut self.times);
        self.take(all)
    }

    /// Removes the message at this position.
    pub(super) fn remove(&mut self, sequence: u64) -> Option<Entry> {
        let entry = self.entries.remove(&sequence)?;
        self.times.remove(&(entry.due, sequence));
        Some(entry)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn take(&mut self, times: BTreeSet<(Instant, u64)>) -> Vec<Entry> {
        let positions = times.into_iter();
        positions
            .filter_map(|(_, sequence)| self.entries.remove(&sequence))
            .collect()
    }
}
