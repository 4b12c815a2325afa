//! Records that a flush has taken from the buffer, until they are settled.

use std::sync::Arc;

use super::chunk::{Chunk, belongs_to, is_ungrouped};
use super::{Buffer, Counts, RecordGroup};
use crate::buffer::Group;

/// The records that a flush sends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Selection<'a> {
    /// All records.
    All,
    /// Records of a group.
    Group(&'a Arc<Group>),
    /// Records that no group will flush: they have none, or it has ended.
    Ungrouped,
}

impl Selection<'_> {
    pub(super) fn matches(self, record_group: &RecordGroup) -> bool {
        match self {
            Selection::All => true,
            Selection::Group(group) => belongs_to(record_group, group),
            Selection::Ungrouped => is_ungrouped(record_group),
        }
    }
}

/// Sequence number of an [`InFlightChunks`] in this process.
pub(crate) type InFlightId = u64;

/// [`InFlightChunks`] whose records are not all settled.
#[derive(Debug, Default)]
pub(super) struct InFlightEntries {
    entries: Vec<InFlightEntry>,
    next_id: InFlightId,
}

#[derive(Debug)]
struct InFlightEntry {
    id: InFlightId,
    /// Groups of the records that are not settled. Ungrouped records are left out, because only
    /// flushes of all records wait for them.
    groups: Vec<Arc<Group>>,
}

impl InFlightEntries {
    pub(super) fn start(&mut self, chunks: &[Chunk]) -> InFlightId {
        let id = self.next_id;
        self.next_id += 1;
        if !chunks.is_empty() {
            let groups = groups(chunks);
            self.entries.push(InFlightEntry { id, groups });
        }
        id
    }

    /// Updates an entry to its remaining chunks. An entry without chunks is removed.
    pub(super) fn update(&mut self, id: InFlightId, chunks: &[Chunk]) {
        let mut entries = self.entries.iter();
        let Some(index) = entries.position(|entry| entry.id == id) else {
            return;
        };
        match chunks {
            [] => drop(self.entries.swap_remove(index)),
            remaining => self.entries[index].groups = groups(remaining),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns true if an entry older than `own_id` contains selected records.
    pub(super) fn contains(&self, selection: Selection<'_>, own_id: InFlightId) -> bool {
        // A flush does not wait for entries newer than its own. Otherwise a steady sequence of
        // other flushes could keep it waiting until its deadline.
        let mut entries = self.entries.iter().filter(|entry| entry.id < own_id);
        match selection {
            Selection::All => entries.next().is_some(),
            Selection::Group(group) => entries
                .flat_map(|entry| &entry.groups)
                .any(|known| Arc::ptr_eq(known, group)),
            Selection::Ungrouped => false,
        }
    }
}

fn groups(chunks: &[Chunk]) -> Vec<Arc<Group>> {
    chunks
        .iter()
        .filter_map(|chunk| chunk.group.clone())
        .collect()
}

/// Chunks in flight to the collector. Those that are not marked as settled return to the buffer on
/// drop.
#[derive(Debug)]
pub(crate) struct InFlightChunks {
    pub(super) buffer: Buffer,
    pub(super) id: InFlightId,
    pub(super) chunks: Vec<Chunk>,
}

impl InFlightChunks {
    pub(crate) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    pub(crate) fn id(&self) -> InFlightId {
        self.id
    }

    /// Returns as many of the first chunks as fit in `limit` bytes, but at least one if there are
    /// any. Does not remove them.
    pub(crate) fn next_request(&self, limit: usize) -> &[Chunk] {
        let mut bytes = 0;
        let fitting = self.chunks.iter().take_while(|chunk| {
            bytes += chunk.bytes.len();
            bytes <= limit
        });
        // Without `max`, no chunk would fit in the limit of zero that the exporter passes to send
        // chunks one by one.
        let count = fitting.count().max(1).min(self.chunks.len());
        &self.chunks[..count]
    }

    /// Returns those of the first `count` chunks that were not yet written to the console exporter,
    /// and marks them as written.
    pub(crate) fn take_new_for_console(&mut self, count: usize) -> Vec<Chunk> {
        let chunks = self.chunks[..count].iter_mut();
        let new = chunks.filter(|chunk| !chunk.is_on_console);
        new.map(|chunk| {
            chunk.is_on_console = true;
            chunk.clone()
        })
        .collect()
    }

    /// Settles the first `count` chunks, which the collector accepted. Returns the number of their
    /// records.
    pub(crate) fn mark_exported(&mut self, count: usize) -> u64 {
        self.settle(count, |counts| &mut counts.exported)
    }

    /// Settles the first `count` chunks, which were written to stdout. Returns the number of their
    /// records.
    pub(crate) fn mark_spilled(&mut self, count: usize) -> u64 {
        self.settle(count, |counts| &mut counts.spilled)
    }

    /// Settles the first `count` chunks, which the collector will never accept. Returns the number
    /// of their records.
    pub(crate) fn mark_dropped(&mut self, count: usize) -> u64 {
        self.settle(count, |counts| &mut counts.dropped)
    }

    /// Drops all remaining chunks. Returns the number of their records.
    pub(crate) fn discard_all(&mut self) -> u64 {
        self.mark_dropped(self.chunks.len())
    }

    /// Counts this number of records of the first `count` chunks as dropped, because the collector
    /// rejected them. The chunks are then [marked as exported](Self::mark_exported). Returns the
    /// number of dropped records.
    pub(crate) fn mark_rejected(&mut self, count: usize, records: u64) -> u64 {
        // The collector does not state which records it rejected, so the first ones are deducted.
        let mut remaining = records;
        for chunk in &mut self.chunks[..count] {
            // The chunk keeps its bytes until it is settled. Only its count is reduced, so that
            // `settle` does not count these records as exported too.
            let rejected = chunk.records.min(remaining);
            chunk.records -= rejected;
            remaining -= rejected;
        }
        let mut state = self.buffer.lock();
        state.counts.dropped += records - remaining;
        state.counts.pending -= records - remaining;
        records - remaining
    }

    fn settle(&mut self, count: usize, outcome: fn(&mut Counts) -> &mut u64) -> u64 {
        let mut state = self.buffer.lock();
        let mut records = 0;
        for chunk in self.chunks.drain(..count) {
            records += chunk.records;
            *outcome(&mut state.counts) += chunk.records;
            state.counts.pending -= chunk.records;
            state.bytes -= chunk.records_bytes().len();
        }
        state.in_flight.update(self.id, &self.chunks);
        drop(state);
        // Notified after each request and not only when the entry is removed, because the flush of
        // a group waits only for the chunks of that group.
        self.buffer.0.settled.notify_waiters();
        records
    }
}

impl Drop for InFlightChunks {
    /// Returns unsettled chunks to the buffer. The next flush sends them before newer records.
    fn drop(&mut self) {
        // No task waits for an entry without chunks: it was never added, or it was removed when its
        // last chunk was settled.
        if self.chunks.is_empty() {
            return;
        }
        let mut state = self.buffer.lock();
        // Both changes happen under one lock, so that a waiting flush finds these records either in
        // flight or returned, and never concludes that they were sent.
        state.return_chunks(std::mem::take(&mut self.chunks));
        state.in_flight.update(self.id, &[]);
        drop(state);
        self.buffer.0.settled.notify_waiters();
    }
}
