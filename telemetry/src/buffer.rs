//! Encoded spans or log records that wait for a flush.
//!
//! A record is encoded as soon as it is complete. The encoded form is a third of the size of the
//! SDK's structures. Its length is known, so the buffer can be bounded in bytes and requests can be
//! cut at the right size, and sending it again costs nothing. Neither a thread nor a channel is
//! involved, only a mutex that is never held across an await.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry::InstrumentationScope;
use tokio::sync::Notify;

use self::chunk::OpenChunk;
use self::in_flight::InFlightEntries;

mod chunk;
mod group;
mod in_flight;
mod spans;

pub(crate) use chunk::Chunk;
pub use group::FlushGroup;
pub(crate) use group::{Group, SpanGroups};
pub(crate) use in_flight::{InFlightChunks, InFlightId, Selection};
pub(crate) use spans::SpanBuffer;

/// The group of a record, if it has one.
pub(crate) type RecordGroup = Option<Arc<Group>>;

/// Limits beyond which the buffer drops records. Records in flight to the collector count too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

/// Cumulative counts of records in this process. `finished = exported + spilled + dropped +
/// pending` at every moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) finished: u64,
    pub(crate) exported: u64,
    /// Written to stdout because the collector did not accept them.
    pub(crate) spilled: u64,
    pub(crate) dropped: u64,
    /// In the buffer or in flight.
    pub(crate) pending: u64,
    /// Subset of `finished`: records whose group had ended when a flush first took them.
    pub(crate) late: u64,
}

#[derive(Debug, Default)]
struct BufferState {
    open: Vec<OpenChunk>,
    closed: Vec<Chunk>,
    in_flight: InFlightEntries,
    counts: Counts,
    /// Bytes of the pending records, without their scopes.
    bytes: usize,
}

/// A bounded buffer of encoded records. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Buffer(Arc<BufferInner>);

#[derive(Debug)]
struct BufferInner {
    bounds: Bounds,
    state: Mutex<BufferState>,
    half_full: Notify,
    /// Notified when records in flight are settled or returned.
    settled: Notify,
}

impl Buffer {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self(Arc::new(BufferInner {
            bounds,
            state: Mutex::default(),
            half_full: Notify::new(),
            settled: Notify::new(),
        }))
    }

    /// Adds a complete record, or drops it if the buffer is full. `record` is already encoded, as a
    /// field of its scope's message, so that the lock is held only while its bytes are copied.
    pub(crate) fn push(&self, record: &[u8], scope: &InstrumentationScope, group: RecordGroup) {
        let bounds = self.0.bounds;
        let mut state = self.lock();
        let was_half_full = state.is_half_full(bounds);
        state.push(record, scope, group, bounds);
        let became_half_full = !was_half_full && state.is_half_full(bounds);
        // Waking a task under the lock would make it wait for the lock.
        drop(state);
        if became_half_full {
            // `notify_one` keeps the notification if no task waits now, so a background export also
            // notices a buffer that became half full while it was sending.
            self.0.half_full.notify_one();
        }
    }

    /// Returns `true` if the buffer is full, and counts a record as dropped, which then need not be
    /// encoded.
    pub(crate) fn count_drop_if_full(&self) -> bool {
        self.lock().count_drop_if_full(self.0.bounds)
    }

    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Returns the bytes of the pending records, without their scopes.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    pub(crate) fn is_half_full(&self) -> bool {
        self.lock().is_half_full(self.0.bounds)
    }

    /// Completes when the buffer becomes half full. Background exports wait for this.
    pub(crate) async fn half_full(&self) {
        self.0.half_full.notified().await;
    }

    /// Returns the selection to flush after a group: ungrouped records, or all records if the
    /// buffer is still half full. Returns `None` if there are none.
    pub(crate) fn ungrouped_selection(&self) -> Option<Selection<'static>> {
        let state = self.lock();
        let selection = if state.is_half_full(self.0.bounds) {
            Selection::All
        } else {
            Selection::Ungrouped
        };
        let closed = state.closed.iter().map(|chunk| &chunk.group);
        let mut groups = closed.chain(state.open.iter().map(|chunk| &chunk.group));
        groups
            .any(|group| selection.matches(group))
            .then_some(selection)
    }

    /// Takes the selected records. Those that the caller does not settle return to the buffer when
    /// the [`InFlightChunks`] is dropped.
    pub(crate) fn take(&self, selection: Selection<'_>) -> InFlightChunks {
        let mut state = self.lock();
        // The entry is added under the same lock. Otherwise another flush could find the records
        // neither in the buffer nor in flight, and conclude that they were sent.
        let chunks = state.take(selection);
        self.track(&mut state, chunks)
    }

    /// Waits for selected records that were taken earlier. Returns `None` when all are settled, or
    /// takes those that have been returned.
    pub(crate) async fn take_returned(
        &self,
        selection: Selection<'_>,
        own_id: InFlightId,
    ) -> Option<InFlightChunks> {
        loop {
            // Created before the entries are checked, so that no notification is missed.
            let settled = self.0.settled.notified();
            {
                let mut state = self.lock();
                // Records that were added since the first take are left to the next flush. If this
                // one took them too, it would not end while spans keep ending.
                let returned = state.take_returned(selection);
                if !returned.is_empty() {
                    return Some(self.track(&mut state, returned));
                }
                if !state.in_flight.contains(selection, own_id) {
                    return None;
                }
            }
            settled.await;
        }
    }

    /// Takes all records as soon as none is in flight.
    pub(crate) async fn take_all_when_settled(&self) -> InFlightChunks {
        loop {
            // Created before the entries are checked, so that no notification is missed.
            let settled = self.0.settled.notified();
            {
                let mut state = self.lock();
                if state.in_flight.is_empty() {
                    let chunks = state.take(Selection::All);
                    return self.track(&mut state, chunks);
                }
            }
            settled.await;
        }
    }

    fn track(&self, state: &mut BufferState, chunks: Vec<Chunk>) -> InFlightChunks {
        InFlightChunks {
            buffer: self.clone(),
            id: state.in_flight.start(&chunks),
            chunks,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BufferState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BufferState {
    fn take(&mut self, selection: Selection<'_>) -> Vec<Chunk> {
        let closed = self
            .closed
            .extract_if(.., |chunk| selection.matches(&chunk.group));
        let open = self
            .open
            .extract_if(.., |chunk| selection.matches(&chunk.group));
        // Returned records are older than open chunks and are sent first.
        let chunks: Vec<Chunk> = closed.chain(open.map(OpenChunk::close)).collect();
        let late = chunks.iter().filter(|chunk| chunk.is_late());
        self.counts.late += late.map(|chunk| chunk.records).sum::<u64>();
        chunks
    }

    fn take_returned(&mut self, selection: Selection<'_>) -> Vec<Chunk> {
        let closed = &mut self.closed;
        closed
            .extract_if(.., |chunk| {
                chunk.is_returned && selection.matches(&chunk.group)
            })
            .collect()
    }

    fn push(
        &mut self,
        record: &[u8],
        scope: &InstrumentationScope,
        group: RecordGroup,
        bounds: Bounds,
    ) {
        if self.count_drop_if_full(bounds) {
            return;
        }
        self.counts.finished += 1;
        self.open_chunk(record, scope, group).push(record);
        self.bytes += record.len();
        self.counts.pending += 1;
    }

    /// Returns `true` if the buffer is full, and counts a record as dropped. The last record of a
    /// buffer may exceed the limit in bytes.
    fn count_drop_if_full(&mut self, bounds: Bounds) -> bool {
        let is_full = self.counts.pending >= bounds.records as u64 || self.bytes >= bounds.bytes;
        self.counts.finished += u64::from(is_full);
        self.counts.dropped += u64::from(is_full);
        is_full
    }

    /// Returns the chunk for a record of a scope and a group. One that has no room for the record
    /// is closed, and another takes its place.
    fn open_chunk(
        &mut self,
        record: &[u8],
        scope: &InstrumentationScope,
        group: RecordGroup,
    ) -> &mut OpenChunk {
        let mut open = self.open.iter();
        let index = match open.position(|chunk| chunk.accepts(scope, &group)) {
            Some(index) => {
                if !self.open[index].has_room(record) {
                    let next = OpenChunk::next(scope.clone(), group);
                    let full = mem::replace(&mut self.open[index], next);
                    self.closed.push(full.close());
                }
                index
            }
            None => {
                self.open.push(OpenChunk::first(scope.clone(), group));
                self.open.len() - 1
            }
        };
        &mut self.open[index]
    }

    fn is_half_full(&self, bounds: Bounds) -> bool {
        self.counts.pending >= bounds.records as u64 / 2 || self.bytes >= bounds.bytes / 2
    }

    /// Returns chunks to the front of the buffer. Small chunks of one scope are merged, because
    /// each failed flush would otherwise leave another allocation.
    fn return_chunks(&mut self, chunks: Vec<Chunk>) {
        let mut merged: Vec<Chunk> = Vec::new();
        for mut chunk in chunks {
            chunk.is_returned = true;
            match merged.iter_mut().find(|target| target.accepts(&chunk)) {
                Some(target) => target.append(&chunk),
                None => merged.push(chunk),
            }
        }
        // Chunks that were filled meanwhile hold newer records, so the returned ones go in front.
        merged.append(&mut self.closed);
        self.closed = merged;
    }
}

#[cfg(test)]
impl Buffer {
    pub(crate) fn is_locked(&self) -> bool {
        self.0.state.try_lock().is_err()
    }
}

#[cfg(test)]
mod tests;
