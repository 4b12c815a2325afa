//! Finds spill lines in whatever logs are kept in.

use std::io::{self, Read};

use baton_telemetry::spill::MARKER;
use memchr::memmem::Finder;

use super::line::{Line, Problem};
use super::unwrapped::{self, Layer, Object, mark_before};

/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;
/// An object may begin so long before its marker. Ours begin a hundred bytes before it; some tools write members in another order.
const LOOKBACK: usize = 2 * 1024 * 1024;
/// No spill line is longer, also with its members on lines of their own and wrapped.
const MAX_OBJECT: usize = 4 * 1024 * 1024;
/// Behind the marker so much must be there to see that it is one: a quotation mark in all its wrappings, spaces and a colon.
const LOOKAHEAD: usize = 64;
/// So many objects before the marker are looked at, of which usually the first is the one.
const MAX_CANDIDATES: usize = 100_000;
/// So many of them may be none: a brace may stand in a text.
const MAX_PROBLEMS: usize = 8;

/// A spill line, or what looks like one.
#[derive(Debug)]
pub(super) struct Found {
    /// Where its marker is, counted from 1.
    pub(super) line_number: u64,
    pub(super) line: Result<Line, Problem>,
}

/// Reads a log from its beginning to its end, keeping a few megabytes of it.
pub(super) struct Scanner<R> {
    input: R,
    is_at_end: bool,
    /// What is read at once, before it gets into the buffer.
    piece: Vec<u8>,
    buffer: Vec<u8>,
    /// Markers before this place have been found.
    at: usize,
    /// Line breaks before this place have been counted.
    counted: usize,
    line_breaks: u64,
    marker: Finder<'static>,
}

impl<R: Read> Scanner<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            is_at_end: false,
            piece: vec![0; READ_BYTES],
            buffer: Vec::new(),
            at: 0,
            counted: 0,
            line_breaks: 0,
            marker: Finder::new(MARKER),
        }
    }

    /// The next spill line.
    pub(super) fn next(&mut self) -> io::Result<Option<Found>> {
        loop {
            let Some(offset) = self.marker.find(&self.buffer[self.at..]) else {
                // The end of the buffer may be the beginning of a marker.
                let searched = self.buffer.len().saturating_sub(MARKER.len() - 1);
                self.at = self.at.max(searched);
                self.forget();
                if !self.read()? {
                    return Ok(None);
                }
                continue;
            };
            let marker = self.at + offset;
            self.at = marker + MARKER.len();
            while self.buffer.len() < self.at + LOOKAHEAD && self.read()? {}
            let Some(layers) = self.member(marker) else {
                continue;
            };
            let mark = mark_before(&self.buffer[..marker]).to_vec();
            if let Some(line) = self.line(marker, &mark, &layers)? {
                let line_number = self.line_number(marker);
                return Ok(Some(Found { line_number, line }));
            }
        }
    }

    /// How the marker is wrapped, if it is the name of a member.
    fn member(&self, marker: usize) -> Option<Vec<Layer>> {
        let layers = unwrapped::layers(&self.buffer[..marker])?;
        let behind = &self.buffer[marker + MARKER.len()..];
        let behind = &behind[..behind.len().min(LOOKAHEAD)];
        let is_mark = |byte: &&u8| matches!(byte, b'"' | b'\\');
        let mark = behind.iter().take_while(is_mark).count();
        let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t');
        let spaces = behind[mark..].iter().take_while(is_space).count();
        (mark > 0 && behind.get(mark + spaces) == Some(&b':')).then_some(layers)
    }

    /// The object that the marker is a member of; nothing where it is a member of something inside of another object's value.
    fn line(
        &mut self,
        marker: usize,
        mark: &[u8],
        layers: &[Layer],
    ) -> io::Result<Option<Result<Line, Problem>>> {
        let first = marker.saturating_sub(LOOKBACK);
        let mut start = marker;
        let mut problems = Vec::new();
        for _ in 0..MAX_CANDIDATES {
            let Some(before) = self.brace_before(first, start, mark) else {
                break;
            };
            start = before;
            let problem = match self.object(start, layers)? {
                // It ends before the marker.
                Object::Whole { length, .. } if start + length <= marker => continue,
                Object::Whole { text, .. } => match Line::parse(&text) {
                    Ok(line) => return Ok(line.map(Ok)),
                    Err(problem) => problem,
                },
                Object::Unfinished | Object::Cut => Problem::Cut,
            };
            problems.push(problem);
            if problems.len() == MAX_PROBLEMS {
                break;
            }
        }
        // The nearest object is the likeliest one.
        let nearest = problems.into_iter().next();
        Ok(Some(Err(nearest.unwrap_or(Problem::NoBeginning))))
    }

    /// The last brace before `end` that a member's name follows.
    fn brace_before(&self, first: usize, mut end: usize, mark: &[u8]) -> Option<usize> {
        loop {
            end = first + memchr::memrchr(b'{', &self.buffer[first..end])?;
            if self.has_members(end, mark) {
                return Some(end);
            }
        }
    }

    /// Whether a brace is followed by a quotation mark like the marker's: a cheap look before a long one.
    fn has_members(&self, brace: usize, mark: &[u8]) -> bool {
        let mut rest = &self.buffer[brace + 1..];
        loop {
            rest = rest.trim_ascii_start();
            if rest.starts_with(mark) {
                return true;
            }
            // Line breaks between members, in JSON that is a string itself.
            let backslashes = rest.iter().take_while(|byte| **byte == b'\\').count();
            match rest[backslashes..].split_first() {
                Some((b'n' | b'r' | b't', behind)) if backslashes > 0 => rest = behind,
                _ => return false,
            }
        }
    }

    /// Reads on until the object is there as a whole.
    fn object(&mut self, start: usize, layers: &[Layer]) -> io::Result<Object> {
        loop {
            let object = unwrapped::object(&self.buffer[start..], layers, MAX_OBJECT);
            if object != Object::Unfinished {
                return Ok(object);
            }
            // Twice as much each time, so that no byte is looked at many times.
            let wanted = self.buffer.len() + (self.buffer.len() - start);
            if !self.read()? {
                return Ok(object);
            }
            while self.buffer.len() < wanted && self.read()? {}
        }
    }

    fn line_number(&mut self, at: usize) -> u64 {
        self.count(at);
        self.line_breaks + 1
    }

    fn count(&mut self, until: usize) {
        if let Some(uncounted) = self.buffer.get(self.counted..until) {
            self.line_breaks += memchr::memchr_iter(b'\n', uncounted).count() as u64;
            self.counted = until;
        }
    }

    /// Drops what nothing that is still to be found can begin in.
    fn forget(&mut self) {
        // Only where it is worth moving the rest.
        if self.at >= 2 * LOOKBACK {
            let gone = self.at - LOOKBACK;
            self.count(gone);
            self.buffer.drain(..gone);
            self.at -= gone;
            self.counted -= gone;
        }
    }

    /// Reads more, and says whether there was any.
    fn read(&mut self) -> io::Result<bool> {
        if self.is_at_end {
            return Ok(false);
        }
        let count = loop {
            match self.input.read(&mut self.piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => break outcome?,
            }
        };
        self.buffer.extend_from_slice(&self.piece[..count]);
        self.is_at_end = count == 0;
        Ok(count > 0)
    }
}
