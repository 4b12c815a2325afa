//! One member of a gzip file (RFC 1952).
//!
//! `flate2`'s own reader discards data unpacked before an error and reads past the boundary between
//! members, so the data could not be searched and the error could not be reported with its
//! position.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::context::Context;
use super::source::{SharedSource, Source};

/// Identification and compression method (RFC 1952, 2.3.1): deflate is the only one.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// Flags of the header; the upper three bits are reserved and must be zero.
const HEADER_CRC: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0xe0;
/// Bytes after the flags: modification time, extra flags, operating system.
const FIXED_REST: usize = 6;
/// Checksum and length of the content.
const TRAILER: usize = 8;

/// Bytes needed to recognise a member.
pub(super) const LOOKAHEAD: usize = 4;

/// Returns `true` if a member begins here.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC) && bytes.get(3).is_some_and(|flags| flags & RESERVED == 0)
}

/// Reads a member's content up to its end or to the first error, which is reported.
pub(super) struct Member {
    source: SharedSource,
    context: Context,
    inflate: Decompress,
    crc: Crc,
    place: String,
    state: State,
    /// `true` if the position of the next member is unknown.
    is_broken: Rc<Cell<bool>>,
}

#[derive(Clone, Copy)]
enum State {
    Header,
    Content,
    End,
}

impl Member {
    pub(super) fn new(source: SharedSource, context: Context, is_broken: Rc<Cell<bool>>) -> Self {
        let place = format!("byte {}", source.borrow().position());
        Self {
            source,
            context,
            // The header and the trailer are read here.
            inflate: Decompress::new(false),
            crc: Crc::new(),
            place,
            state: State::Header,
            is_broken,
        }
    }

    fn broken(&mut self, text: &str) {
        self.state = State::End;
        self.is_broken.set(true);
        self.context.report(&self.place, text);
    }

    fn header(&mut self) -> io::Result<()> {
        let source = &mut *self.source.borrow_mut();
        self.state = State::Content;
        source.consume(MAGIC.len());
        let flags = source.byte()?.unwrap_or_default();
        skip(source, FIXED_REST)?;
        if flags & EXTRA != 0 {
            let length = [source.byte()?, source.byte()?].map(Option::unwrap_or_default);
            skip(source, usize::from(u16::from_le_bytes(length)))?;
        }
        for text in [NAME, COMMENT] {
            while flags & text != 0 && source.byte()?.is_some_and(|byte| byte != 0) {}
        }
        if flags & HEADER_CRC != 0 {
            skip(source, 2)?;
        }
        Ok(())
    }

    /// Unpacks some of the content, possibly nothing yet.
    fn content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let source = Rc::clone(&self.source);
        let mut source = source.borrow_mut();
        let input = source.peek(1)?;
        if input.is_empty() {
            self.broken("gzip data is cut off: the content before that was searched");
            return Ok(0);
        }
        let before = (self.inflate.total_in(), self.inflate.total_out());
        let status = self
            .inflate
            .decompress(input, buffer, FlushDecompress::None);
        // Counted even after an error, because the content before it has been unpacked.
        let consumed = self.inflate.total_in() - before.0;
        let written = (self.inflate.total_out() - before.1) as usize;
        source.consume(consumed as usize);
        self.crc.update(&buffer[..written]);
        match status {
            Ok(Status::StreamEnd) => self.trailer(&mut source)?,
            Ok(_) => {}
            Err(_) => self.broken("gzip data is corrupt: the content before that was searched"),
        }
        Ok(written)
    }

    fn trailer(&mut self, source: &mut Source) -> io::Result<()> {
        self.state = State::End;
        let trailer = source.peek(TRAILER)?;
        let expected = [self.crc.sum(), self.crc.amount()]
            .map(u32::to_le_bytes)
            .concat();
        let (length, found) = (trailer.len().min(TRAILER), trailer.get(..TRAILER));
        let is_right = found.map(|found| found == expected);
        source.consume(length);
        match is_right {
            Some(true) => {}
            Some(false) => self.context.report(
                &self.place,
                "gzip data does not match its checksum: the content was searched",
            ),
            None => self.broken("gzip data is cut off: the content before that was searched"),
        }
        Ok(())
    }
}

fn skip(source: &mut Source, count: usize) -> io::Result<()> {
    let count = source.peek(count)?.len().min(count);
    source.consume(count);
    Ok(())
}

impl Read for Member {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !buffer.is_empty() && !self.context.is_stopped() {
            match self.state {
                State::Header => self.header()?,
                State::Content => {
                    let written = self.content(buffer)?;
                    self.context.count_unpacked(written, &self.place);
                    if written > 0 {
                        return Ok(written);
                    }
                }
                State::End => break,
            }
        }
        Ok(0)
    }
}
