//! Buffered reader with lookahead.

use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;

/// Number of bytes per read.
const READ_BYTES: usize = 64 * 1024;

/// Reader that a file and the member being unpacked share.
pub(super) type SharedPeekReader = Rc<RefCell<PeekReader>>;

/// Buffered reader with lookahead.
pub(super) struct PeekReader {
    reader: Box<dyn Read>,
    /// Buffer for one read.
    chunk: Vec<u8>,
    buffer: Vec<u8>,
    at: usize,
    position: u64,
    is_at_end: bool,
}

impl PeekReader {
    pub(super) fn shared(reader: Box<dyn Read>) -> SharedPeekReader {
        Rc::new(RefCell::new(Self {
            reader,
            chunk: vec![0; READ_BYTES],
            buffer: Vec::new(),
            at: 0,
            position: 0,
            is_at_end: false,
        }))
    }

    /// Returns the number of bytes consumed.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Returns all buffered bytes: at least `count`, unless the input ends.
    pub(super) fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        while self.buffer.len() - self.at < count && !self.is_at_end {
            self.fill()?;
        }
        Ok(&self.buffer[self.at..])
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.at += count;
        self.position += count as u64;
    }

    /// Reads one byte.
    pub(super) fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.peek(1)?.first().copied();
        if byte.is_some() {
            self.consume(1);
        }
        Ok(byte)
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let count = loop {
            match self.reader.read(&mut self.chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => break outcome?,
            }
        };
        self.buffer.extend_from_slice(&self.chunk[..count]);
        self.is_at_end = count == 0;
        Ok(())
    }
}
