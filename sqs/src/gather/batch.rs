//! The messages of one call.

use super::entry::Entry;
use crate::limits::{MAX_BATCH_BYTES, MAX_BATCH_MESSAGES};

/// Messages that SQS accepts in one call: at most ten, and at most 1 MiB together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    entries: Vec<Entry>,
    bytes: usize,
}

impl Batch {
    /// Returns `true` if the entry may be added.
    pub(super) fn accepts(&self, entry: &Entry) -> bool {
        let Some(first) = self.entries.first() else {
            return true;
        };
        !first.is_alone
            && !entry.is_alone
            && self.entries.len() < MAX_BATCH_MESSAGES
            && self.bytes + entry.total_size() <= MAX_BATCH_BYTES
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.bytes += entry.total_size();
        self.entries.push(entry);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}
