//! The waiting messages of a standard queue.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::gather::batch::Batch;
use crate::gather::entry::Entry;
use crate::limits::{MAX_BATCH_BYTES, MAX_BATCH_MESSAGES};

/// Messages in the order of their arrival. Those that are sent again come first.
#[derive(Debug, Default)]
pub(in crate::gather) struct StandardQueueMessages {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl StandardQueueMessages {
    pub(super) fn push_back(&mut self, entry: Entry) {
        self.bytes += entry.total_size();
        self.entries.push_back(entry);
    }

    pub(super) fn push_front(&mut self, entry: Entry) {
        self.bytes += entry.total_size();
        self.entries.push_front(entry);
    }

    pub(super) fn earliest_due(&self) -> Option<Instant> {
        Some(self.entries.front()?.due)
    }

    pub(super) fn has_full_batch(&self) -> bool {
        self.entries.len() >= MAX_BATCH_MESSAGES || self.bytes >= MAX_BATCH_BYTES
    }

    pub(super) fn make_due(&mut self, now: Instant) {
        for entry in &mut self.entries {
            entry.due = entry.due.min(now);
        }
    }

    pub(super) fn make_first_due(&mut self, now: Instant) {
        if let Some(first) = self.entries.front_mut() {
            first.due = first.due.min(now);
        }
    }

    pub(super) fn take_batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        while let Some(entry) = self.entries.front() {
            let is_abandoned = entry.is_abandoned();
            if !is_abandoned && !batch.accepts(entry) {
                break;
            }
            let Some(entry) = self.entries.pop_front() else {
                break;
            };
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

    pub(super) fn drain(&mut self) -> Vec<Entry> {
        self.bytes = 0;
        std::mem::take(&mut self.entries).into()
    }
}
