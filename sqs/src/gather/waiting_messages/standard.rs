//! The waiting messages of a standard queue.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::gather::batch::Batch;
use crate::gather::entry::Entry;
use crate::limits::{MAX_BATCH_BYTES, MAX_BATCH_MESSAGES};

/// Messages by their position in the order of arrival.
#[derive(Debug, Default)]
pub(in crate::gather) struct StandardQueueMessages {
    entries: BTreeMap<u64, Entry>,
    bytes: usize,
}

impl StandardQueueMessages {
    pub(super) fn insert(&mut self, entry: Entry) {
        self.bytes += entry.total_size();
        self.entries.insert(entry.sequence, entry);
    }

    pub(super) fn earliest_due(&self) -> Option<Instant> {
        let (_, first) = self.entries.first_key_value()?;
        Some(first.due)
    }

    pub(super) fn has_full_batch(&self) -> bool {
        self.entries.len() >= MAX_BATCH_MESSAGES || self.bytes >= MAX_BATCH_BYTES
    }

    pub(super) fn make_due(&mut self, now: Instant) {
        for entry in self.entries.values_mut() {
            entry.due = entry.due.min(now);
        }
    }

    pub(super) fn make_first_due(&mut self, now: Instant) {
        if let Some(mut first) = self.entries.first_entry() {
            let first = first.get_mut();
            first.due = first.due.min(now);
        }
    }

    pub(super) fn take_batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        while let Some(first) = self.entries.first_entry() {
            let is_abandoned = first.get().is_abandoned();
            if !is_abandoned && !batch.accepts(first.get()) {
                break;
            }
            let entry = first.remove();
            self.bytes -= entry.total_size();
            if !is_abandoned {
                batch.push(entry);
            }
        }
        batch
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn remove(&mut self, sequence: u64) -> Option<Entry> {
        let entry = self.entries.remove(&sequence)?;
        self.bytes -= entry.total_size();
        Some(entry)
    }

    pub(super) fn drain(&mut self) -> Vec<Entry> {
        self.bytes = 0;
        let entries = std::mem::take(&mut self.entries);
        entries.into_values().collect()
    }
}
