//! Member names that the scanner looks for.

use baton_telemetry::spill::MARKER;
use memchr::memmem::Finder;

use super::pieces::MESSAGE;

/// The meaning of a name for the object that contains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The object is a spill line.
    Spill,
    /// The object may be a piece of a line.
    Piece,
    /// It may be a record of the journal, whose message is not always a string.
    Message,
}

/// The names. The last ones belong to pieces: see [`super::pieces`].
const NAMES: [(Kind, &str); 6] = [
    (Kind::Spill, MARKER),
    (Kind::Piece, "partial_id"),
    (Kind::Piece, "CONTAINER_PARTIAL_ID"),
    (Kind::Piece, "logtag"),
    (Kind::Piece, "_STREAM_ID"),
    (Kind::Message, MESSAGE),
];
/// Length of the longest name.
pub(super) const MAX_NAME: usize = 20;

/// A name found in the buffer.
pub(super) struct Marker {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Finds the names in order of position.
pub(super) struct Markers([(Kind, Search); NAMES.len()]);

impl Markers {
    pub(super) fn new() -> Self {
        Self(NAMES.map(|(kind, name)| (kind, Search::new(name.as_bytes()))))
    }

    /// Returns the next name from `at` on, in a buffer that begins at `dropped` in the log.
    pub(super) fn next(&mut self, buffer: &[u8], dropped: u64, at: usize) -> Option<Marker> {
        let found = self.0.iter_mut().filter_map(|(kind, search)| {
            let start = search.next(buffer, dropped, at)?;
            Some(Marker {
                kind: *kind,
                start,
                end: start + search.finder.needle().len(),
            })
        });
        found.min_by_key(|marker| marker.start)
    }
}

/// Searches a log for a byte string, scanning each byte of the log once.
pub(super) struct Search {
    finder: Finder<'static>,
    /// Positions in the log: the next occurrence, if known, and the end of the part without one.
    next: Option<u64>,
    searched: u64,
}

impl Search {
    pub(super) fn new(bytes: &'static [u8]) -> Self {
        Self {
            finder: Finder::new(bytes),
            next: None,
            searched: 0,
        }
    }

    /// Returns the next occurrence from `at` on, in a buffer that begins at `dropped` in the log.
    pub(super) fn next(&mut self, buffer: &[u8], dropped: u64, at: usize) -> Option<usize> {
        let from = dropped + at as u64;
        if self.next.is_none_or(|next| next < from) {
            let start = self.searched.max(from);
            let offset = (start - dropped) as usize;
            let found = self.finder.find(buffer.get(offset..)?);
            self.next = found.map(|found| start + found as u64);
            // An occurrence may begin at the end of the buffer and continue beyond it.
            let length = self.finder.needle().len();
            let end = buffer.len().saturating_sub(length - 1).max(offset);
            self.searched = self.next.map_or(dropped + end as u64, |next| next + 1);
        }
        self.next.map(|next| (next - dropped) as usize)
    }
}
