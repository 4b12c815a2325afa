//! Names that the scanner looks for.

use baton_telemetry::spill::MARKER;
use memchr::memmem::Finder;

/// What a name says about the object that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is a spill line.
    Spill,
    /// It may be a piece of a line.
    Piece,
}

/// The names, of which the last ones are those of members of pieces: see [`super::pieces`].
const NAMES: [(Kind, &str); 5] = [
    (Kind::Spill, MARKER),
    (Kind::Piece, "partial_id"),
    (Kind::Piece, "CONTAINER_PARTIAL_ID"),
    (Kind::Piece, "logtag"),
    (Kind::Piece, "_STREAM_ID"),
];
/// None of them is longer.
pub(super) const MAX_NAME: usize = 20;

/// A name in the buffer.
pub(super) struct Marker {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Finds the names in their order.
pub(super) struct Markers([(Kind, Search); NAMES.len()]);

impl Markers {
    pub(super) fn new() -> Self {
        Self(NAMES.map(|(kind, name)| (kind, Search::new(name.as_bytes()))))
    }

    /// The next name from `at` on in a buffer that begins at `dropped` in the log.
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

/// Searches a log for some bytes, and each byte of it once.
pub(super) struct Search {
    finder: Finder<'static>,
    /// Places in the log: the next occurrence, if it is known, and that before which there is none.
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

    /// The next occurrence from `at` on in a buffer that begins at `dropped` in the log.
    pub(super) fn next(&mut self, buffer: &[u8], dropped: u64, at: usize) -> Option<usize> {
        let from = dropped + at as u64;
        if self.next.is_none_or(|next| next < from) {
            let start = self.searched.max(from);
            let offset = (start - dropped) as usize;
            let found = self.finder.find(buffer.get(offset..)?);
            self.next = found.map(|found| start + found as u64);
            // The end of the buffer may be the beginning of an occurrence.
            let length = self.finder.needle().len();
            let end = buffer.len().saturating_sub(length - 1).max(offset);
            self.searched = self.next.map_or(dropped + end as u64, |next| next + 1);
        }
        self.next.map(|next| (next - dropped) as usize)
    }
}
