//! Names of members that the scanner searches for.

use baton_telemetry::spill::MARKER;

use super::partial_records::MESSAGE;
use crate::replay::byte_search::ByteSearch;

/// Meaning of a member's name for the object that contains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MarkerKind {
    /// The object is a spill line.
    Spill,
    /// The object may be a piece of a line.
    Piece,
    /// The object may be a record of the journal, whose message may be a list of bytes.
    Message,
}

/// Names to search for. Those after the first one belong to pieces: see [`super::partial_records`].
const NAMES: [(MarkerKind, &str); 6] = [
    (MarkerKind::Spill, MARKER),
    (MarkerKind::Piece, "partial_id"),
    (MarkerKind::Piece, "CONTAINER_PARTIAL_ID"),
    (MarkerKind::Piece, "logtag"),
    (MarkerKind::Piece, "_STREAM_ID"),
    (MarkerKind::Message, MESSAGE),
];
/// Length of the longest name.
pub(super) const MAX_NAME: usize = 20;

/// A name found in the buffer.
pub(super) struct Marker {
    pub(super) kind: MarkerKind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Search for all names at once.
pub(super) struct MarkerSearch([(MarkerKind, ByteSearch); NAMES.len()]);

impl MarkerSearch {
    pub(super) fn new() -> Self {
        Self(NAMES.map(|(kind, name)| (kind, ByteSearch::new(name.as_bytes()))))
    }

    /// Returns the next name at or after `at` in a buffer that begins at `discarded` in the log.
    pub(super) fn next(&mut self, buffer: &[u8], discarded: u64, at: usize) -> Option<Marker> {
        let found = self.0.iter_mut().filter_map(|(kind, search)| {
            let start = search.next(buffer, discarded, at)?;
            Some(Marker {
                kind: *kind,
                start,
                end: start + search.length(),
            })
        });
        found.min_by_key(|marker| marker.start)
    }
}
