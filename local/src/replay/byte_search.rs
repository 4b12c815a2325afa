//! Search for a byte string in a log that is read in parts.

use memchr::memmem::Finder;

/// Searches a log for a byte string, and scans each byte of the log only once.
pub(super) struct ByteSearch {
    finder: Finder<'static>,
    /// Position of the next occurrence in the log, if known.
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

    /// Returns the next occurrence at or after `at` in a buffer that begins at `discarded` in the
    /// log.
    pub(super) fn next(&mut self, buffer: &[u8], discarded: u64, at: usize) -> Option<usize> {
        let from = discarded + at as u64;
        if self.next.is_none_or(|next| next < from) {
            let start = self.searched.max(from);
            let offset = (start - discarded) as usize;
            let found = self.finder.find(buffer.get(offset..)?);
            self.next = found.map(|found| start + found as u64);
            // An occurrence may begin at the end of the buffer and continue beyond it.
            let length = self.length();
            let end = buffer.len().saturating_sub(length - 1).max(offset);
            self.searched = self.next.map_or(discarded + end as u64, |next| next + 1);
        }
        self.next.map(|next| (next - discarded) as usize)
    }
}
