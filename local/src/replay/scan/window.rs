//! The part of a log that is in memory.

use std::io::{self, Read};

use super::quoting::{self, ObjectResult, Quoting};

/// Number of bytes per read.
const READ_BYTES: usize = 64 * 1024;
/// Limit on the distance between the start of an object and its marker. Baton writes the marker
/// within a hundred bytes, but some tools reorder members.
pub(super) const LOOKBACK: usize = 2 * 1024 * 1024;
/// Limit on the length of a spill line, even if it is formatted over several lines and escaped.
pub(super) const MAX_OBJECT: usize = 4 * 1024 * 1024;

/// A window of a few megabytes over a log that is read sequentially.
pub(super) struct Window<R> {
    input: R,
    is_at_end: bool,
    /// Buffer for one read.
    chunk: Vec<u8>,
    pub(super) buffer: Vec<u8>,
    /// Number of bytes of the log before the buffer.
    discarded: u64,
    /// Position in the buffer up to which `line_breaks` counts.
    counted: usize,
    line_breaks: u64,
}

impl<R: Read> Window<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            is_at_end: false,
            chunk: vec![0; READ_BYTES],
            buffer: Vec::new(),
            discarded: 0,
            counted: 0,
            line_breaks: 0,
        }
    }

    /// Returns the position of the buffer in the log.
    pub(super) fn discarded(&self) -> u64 {
        self.discarded
    }

    /// Reads more of the log. Returns false at its end.
    pub(super) fn read(&mut self) -> io::Result<bool> {
        if self.is_at_end {
            return Ok(false);
        }
        let count = loop {
            match self.input.read(&mut self.chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => break outcome?,
            }
        };
        self.buffer.extend_from_slice(&self.chunk[..count]);
        self.is_at_end = count == 0;
        Ok(count > 0)
    }

    /// Reads until the buffer has this many bytes or the log ends.
    pub(super) fn read_to(&mut self, length: usize) -> io::Result<()> {
        while self.buffer.len() < length && self.read()? {}
        Ok(())
    }

    /// Returns the object at `start`, and reads more of the log until the object ends.
    pub(super) fn object(&mut self, start: usize, levels: &[Quoting]) -> io::Result<ObjectResult> {
        loop {
            let object = quoting::read_object(&self.buffer[start..], levels, MAX_OBJECT);
            if object != ObjectResult::Unfinished {
                return Ok(object);
            }
            // The amount doubles each time. Otherwise, a long object would be parsed many times.
            let wanted = self.buffer.len() + (self.buffer.len() - start);
            if !self.read()? {
                return Ok(object);
            }
            self.read_to(wanted)?;
        }
    }

    /// Returns the end of the line that contains a position, without its line break.
    pub(super) fn line_end(&mut self, from: usize) -> io::Result<usize> {
        let mut searched = from;
        loop {
            let rest = self.buffer.get(searched..).unwrap_or_default();
            if let Some(length) = memchr::memchr(b'\n', rest) {
                return Ok(searched + length);
            }
            searched = self.buffer.len();
            if searched.saturating_sub(from) > MAX_OBJECT || !self.read()? {
                return Ok(searched);
            }
        }
    }

    /// Returns the last brace before `end` that is followed by a member's name with this quotation
    /// mark.
    pub(super) fn previous_brace(
        &self,
        mut end: usize,
        first: usize,
        mark: &[u8],
    ) -> Option<usize> {
        loop {
            end = first + memchr::memrchr(b'{', self.buffer.get(first..end)?)?;
            if self.has_members(end, mark) {
                return Some(end);
            }
        }
    }

    /// Returns true if this quotation mark follows a brace. The check is cheap and precedes
    /// parsing.
    fn has_members(&self, brace: usize, mark: &[u8]) -> bool {
        let mut rest = &self.buffer[brace + 1..];
        loop {
            rest = rest.trim_ascii_start();
            if rest.starts_with(mark) {
                return true;
            }
            // In a JSON string, line breaks between members are escaped.
            let backslashes = rest.iter().take_while(|byte| **byte == b'\\').count();
            match rest[backslashes..].split_first() {
                Some((b'n' | b'r' | b't', after)) if backslashes > 0 => rest = after,
                _ => return false,
            }
        }
    }

    pub(super) fn line_number(&mut self, at: usize) -> u64 {
        self.count(at);
        self.line_breaks + 1
    }

    fn count(&mut self, until: usize) {
        if let Some(uncounted) = self.buffer.get(self.counted..until) {
            self.line_breaks += memchr::memchr_iter(b'\n', uncounted).count() as u64;
            self.counted = until;
        }
    }

    /// Discards the bytes of the buffer before `at`.
    pub(super) fn discard(&mut self, at: usize) {
        self.count(at);
        self.buffer.drain(..at);
        self.discarded += at as u64;
        self.counted -= at;
    }
}
