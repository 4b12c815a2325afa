//! A search for a byte string in a log that is read in parts.

use memchr::memmem::Finder;

/// Searches a log for a byte string, scanning each byte of the log once.
pub(super) struct ByteSearch {
    finder: Finder<'static>,
    /// Positions in the log: the next occurrence, if known, and the end of the part without one.
    next: Option<u64>,
    searched: u64,
}

impl ByteSearch {
    pub(super) fn new(bytes: &'static [u8]) -> Self {
        Self {
            finder: Finder::new(bytes),
            next: None,
            searched: 0,
        }
    }

    /// Returns the length of the byte string.
    pub(super) fn length(&self) -> usize {
        self.finder.needle().len()
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
            let length = self.length();
            let end = buffer.len().saturating_sub(length - 1).max(offset);
            self.searched = self.next.map_or(dropped + end as u64, |next| next + 1);
        }
        self.next.map(|next| (next - dropped) as usize)
    }
}
