//! What a flush has taken from the buffer, until the collector's answer is known.

use std::sync::Arc;

use super::chunk::{Chunk, belongs_to, is_ownerless};
use super::{Buffer, Counts, Owner};
use crate::buffer::Group;

/// Which records a flush is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Selection<'a> {
    /// All that have finished.
    All,
    /// Those of a group.
    Group(&'a Arc<Group>),
    /// Those that no group is going to flush as its own: of no group, or of one that is over.
    Ungrouped,
}

impl Selection<'_> {
    pub(super) fn matches(self, owner: &Owner) -> bool {
        match self {
            Selection::All => true,
            Selection::Group(group) => belongs_to(owner, group),
            Selection::Ungrouped => is_ownerless(owner),
        }
    }
}

/// Which taking of records it was, counted from the start of the process.
pub(crate) type FlightNumber = u64;

/// The records that are on their way, by the flush that sends them.
#[derive(Debug, Default)]
pub(super) struct Flights {
    under_way: Vec<Flight>,
    next: FlightNumber,
}

#[derive(Debug)]
struct Flight {
    number: FlightNumber,
    /// Of the records that have no answer yet. Those without a group are in nobody's interest but
    /// everyone's.
    groups: Vec<Arc<Group>>,
}

impl Flights {
    pub(super) fn start(&mut self, chunks: &[Chunk]) -> FlightNumber {
        let number = self.next;
        self.next += 1;
        if !chunks.is_empty() {
            let groups = groups(chunks);
            self.under_way.push(Flight { number, groups });
        }
        number
    }

    /// `chunks` are what is left of a flight; with none it is over.
    pub(super) fn update(&mut self, number: FlightNumber, chunks: &[Chunk]) {
        let mut flights = self.under_way.iter();
        let Some(at) = flights.position(|flight| flight.number == number) else {
            return;
        };
        match chunks {
            [] => drop(self.under_way.swap_remove(at)),
            left => self.under_way[at].groups = groups(left),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether one of the flights before this one still carries such records.
    pub(super) fn contain(&self, selection: Selection<'_>, before: FlightNumber) -> bool {
        let mut flights = self.under_way.iter().filter(|known| known.number < before);
        match selection {
            Selection::All => flights.next().is_some(),
            Selection::Group(group) => flights
                .flat_map(|flight| &flight.groups)
                .any(|known| Arc::ptr_eq(known, group)),
            Selection::Ungrouped => false,
        }
    }
}

fn groups(chunks: &[Chunk]) -> Vec<Arc<Group>> {
    chunks
        .iter()
        .filter_map(|chunk| chunk.owner.clone())
        .collect()
}

/// Chunks on their way to a collector. Whatever happens to them is said here, or they return to the
/// buffer.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(super) buffer: Buffer,
    pub(super) number: FlightNumber,
    pub(super) chunks: Vec<Chunk>,
}

impl InFlight {
    pub(crate) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    pub(crate) fn number(&self) -> FlightNumber {
        self.number
    }

    /// The next chunks that together stay below `limit` bytes (always at least one), without
    /// removing them.
    pub(crate) fn next_request(&self, limit: usize) -> &[Chunk] {
        let mut bytes = 0;
        let fitting = self.chunks.iter().take_while(|chunk| {
            bytes += chunk.bytes.len();
            bytes <= limit
        });
        let count = fitting.count().max(1).min(self.chunks.len());
        &self.chunks[..count]
    }

    /// Returns those of the first `chunks` that were not yet written to the console exporter, and
    /// marks them as written.
    pub(crate) fn new_to_console(&mut self, chunks: usize) -> Vec<Chunk> {
        let chunks = self.chunks[..chunks].iter_mut();
        let new = chunks.filter(|chunk| !chunk.is_on_console);
        new.map(|chunk| {
            chunk.is_on_console = true;
            chunk.clone()
        })
        .collect()
    }

    /// The first `chunks` were accepted by the collector. Returns how many records they are.
    pub(crate) fn exported(&mut self, chunks: usize) -> u64 {
        self.settle(chunks, |counts| &mut counts.exported)
    }

    /// The first `chunks` have been written to stdout. Returns the same.
    pub(crate) fn spilled(&mut self, chunks: usize) -> u64 {
        self.settle(chunks, |counts| &mut counts.spilled)
    }

    /// The first `chunks` will never be accepted. Returns the same.
    pub(crate) fn dropped(&mut self, chunks: usize) -> u64 {
        self.settle(chunks, |counts| &mut counts.dropped)
    }

    /// Nobody is going to send what is left. Returns the same.
    pub(crate) fn discard_all(&mut self) -> u64 {
        self.dropped(self.chunks.len())
    }

    /// Of the first `chunks`, which are about to be [`exported`](Self::exported), the collector
    /// took so many records less, whichever they are. Returns how many are dropped.
    pub(crate) fn rejected(&mut self, chunks: usize, records: u64) -> u64 {
        let mut left = records;
        for chunk in &mut self.chunks[..chunks] {
            let rejected = chunk.records.min(left);
            chunk.records -= rejected;
            left -= rejected;
        }
        let mut state = self.buffer.lock();
        state.counts.dropped += records - left;
        state.counts.pending -= records - left;
        records - left
    }

    fn settle(&mut self, chunks: usize, outcome: fn(&mut Counts) -> &mut u64) -> u64 {
        let mut state = self.buffer.lock();
        let mut records = 0;
        for chunk in self.chunks.drain(..chunks) {
            records += chunk.records;
            *outcome(&mut state.counts) += chunk.records;
            state.counts.pending -= chunk.records;
            state.bytes -= chunk.records_bytes().len();
        }
        state.flights.update(self.number, &self.chunks);
        drop(state);
        self.buffer.0.settled.notify_waiters();
        records
    }
}

impl Drop for InFlight {
    /// What was not answered for is sent with the next flush, before what has finished since.
    fn drop(&mut self) {
        if self.chunks.is_empty() {
            return;
        }
        let mut state = self.buffer.lock();
        state.return_chunks(std::mem::take(&mut self.chunks));
        state.flights.update(self.number, &[]);
        drop(state);
        self.buffer.0.settled.notify_waiters();
    }
}
