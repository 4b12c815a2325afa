//! Reading of one member of a gzip file (RFC 1952).
//!
//! The readers of `flate2` discard data that was unpacked before an error, and read past the end of
//! a member. The data could then not be searched, and the position of the error would be unknown.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::context::UnpackContext;
use super::peek_reader::{PeekReader, SharedPeekReader};

/// Identification and compression method (RFC 1952, 2.3.1). Deflate is the only method.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// Flags of the header. The upper three bits are reserved and must be zero.
const HEADER_CRC: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0xe0;
/// Bytes of the header after the flags: modification time, extra flags and operating system.
const FIXED_REST: usize = 6;
/// Bytes of the trailer: checksum and length of the content.
const TRAILER: usize = 8;

/// Number of bytes needed to recognise a member.
pub(super) const LOOKAHEAD: usize = 4;

/// Returns true if a member begins with these bytes.
pub(super) fn is_member_start(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC) && bytes.get(3).is_some_and(|flags| flags & RESERVED == 0)
}

/// Reads the content of a member up to its end or to the first error, which is reported.
pub(super) struct GzipMember {
    input: SharedPeekReader,
    context: UnpackContext,
    inflate: Decompress,
    crc: Crc,
    position: String,
    state: MemberState,
    /// True if the position of the next member is unknown.
    is_corrupt: Rc<Cell<bool>>,
}

#[derive(Clone, Copy)]
enum MemberState {
    Header,
    Content,
    End,
}

impl GzipMember {
    pub(super) fn new(
        input: SharedPeekReader,
        context: UnpackContext,
        is_corrupt: Rc<Cell<bool>>,
    ) -> Self {
        let position = format!("byte {}", input.borrow().position());
        Self {
            input,
            context,
            // `false`, because this module reads the header and the trailer itself.
            inflate: Decompress::new(false),
            crc: Crc::new(),
            position,
            state: MemberState::Header,
            is_corrupt,
        }
    }

    fn report_corrupt(&mut self, text: &str) {
        self.state = MemberState::End;
        self.is_corrupt.set(true);
        self.context.report(&self.position, text);
    }

    fn read_header(&mut self) -> io::Result<()> {
        let input = &mut *self.input.borrow_mut();
        self.state = MemberState::Content;
        input.consume(MAGIC.len());
        let flags = input.byte()?.unwrap_or_default();
        skip(input, FIXED_REST)?;
        if flags & EXTRA != 0 {
            let length = [input.byte()?, input.byte()?].map(Option::unwrap_or_default);
            skip(input, usize::from(u16::from_le_bytes(length)))?;
        }
        for text in [NAME, COMMENT] {
            while flags & text != 0 && input.byte()?.is_some_and(|byte| byte != 0) {}
        }
        if flags & HEADER_CRC != 0 {
            skip(input, 2)?;
        }
        Ok(())
    }

    /// Unpacks a part of the content, which may be empty.
    fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let input = Rc::clone(&self.input);
        let mut input = input.borrow_mut();
        let bytes = input.peek(1)?;
        if bytes.is_empty() {
            self.report_corrupt(
                "gzip data is truncated: the content before the truncation was searched",
            );
            return Ok(0);
        }
        let before = (self.inflate.total_in(), self.inflate.total_out());
        let status = self
            .inflate
            .decompress(bytes, buffer, FlushDecompress::None);
        // The counts matter even after an error, because the content before it has been unpacked.
        let consumed = self.inflate.total_in() - before.0;
        let written = (self.inflate.total_out() - before.1) as usize;
        input.consume(consumed as usize);
        self.crc.update(&buffer[..written]);
        match status {
            Ok(Status::StreamEnd) => self.read_trailer(&mut input)?,
            Ok(_) => {}
            Err(_) => self.report_corrupt(
                "gzip data is corrupt: the content before the corruption was searched",
            ),
        }
        Ok(written)
    }

    fn read_trailer(&mut self, input: &mut PeekReader) -> io::Result<()> {
        self.state = MemberState::End;
        let trailer = input.peek(TRAILER)?;
        let expected = [self.crc.sum(), self.crc.amount()]
            .map(u32::to_le_bytes)
            .concat();
        let (length, found) = (trailer.len().min(TRAILER), trailer.get(..TRAILER));
        let is_valid = found.map(|found| found == expected);
        input.consume(length);
        match is_valid {
            Some(true) => {}
            Some(false) => self.context.report(
                &self.position,
                "gzip data does not match its checksum: the content was searched",
            ),
            None => self.report_corrupt(
                "gzip data is truncated: the content before the truncation was searched",
            ),
        }
        Ok(())
    }
}

fn skip(input: &mut PeekReader, count: usize) -> io::Result<()> {
    let count = input.peek(count)?.len().min(count);
    input.consume(count);
    Ok(())
}

impl Read for GzipMember {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !buffer.is_empty() && !self.context.is_stopped() {
            match self.state {
                MemberState::Header => self.read_header()?,
                MemberState::Content => {
                    let written = self.read_content(buffer)?;
                    self.context.count_unpacked(written, &self.position);
                    if written > 0 {
                        return Ok(written);
                    }
                }
                MemberState::End => break,
            }
        }
        Ok(0)
    }
}
