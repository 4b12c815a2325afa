//! Files that consist of gzip members, UTF-16 and plain text.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use super::context::UnpackContext;
use super::format;
use super::gzip::{self, GzipMember};
use super::peek_reader::{PeekReader, SharedPeekReader};
use super::utf16::{self, Utf16Reader};

/// Number of plain bytes that are classified together as text or binary. Fewer bytes are not
/// representative.
const MIN_CLASSIFIED: usize = 4096;

/// Reads the text of a file, in which gzip members are unpacked and UTF-16 is decoded. Binary data
/// is reported and passed on unchanged, so that it is searched too.
pub(super) struct UnpackReader {
    input: SharedPeekReader,
    context: UnpackContext,
    section: Section,
    /// True if the member before this section was corrupt.
    is_corrupt: Rc<Cell<bool>>,
    /// Plain bytes that have not been classified yet.
    unclassified: Vec<u8>,
    unclassified_at: u64,
    is_reported: bool,
}

enum Section {
    /// A section whose format has not been detected yet.
    Start,
    Plain,
    Encoded(Box<dyn Read>),
    End,
}

impl UnpackReader {
    pub(super) fn new(reader: Box<dyn Read>, context: UnpackContext) -> Self {
        let reader: Box<dyn Read> = if context.is_outermost() {
            Box::new(CountingReader(reader, context.clone()))
        } else {
            reader
        };
        Self {
            input: PeekReader::shared(reader),
            context,
            section: Section::Start,
            is_corrupt: Rc::default(),
            unclassified: Vec::new(),
            unclassified_at: 0,
            is_reported: false,
        }
    }

    fn position(&self) -> String {
        format!("byte {}", self.input.borrow().position())
    }

    fn begin_section(&mut self) -> io::Result<()> {
        if self.is_corrupt.replace(false) {
            self.skip_to_member()?;
        }
        let position = self.position();
        let mut input = self.input.borrow_mut();
        let is_first = input.position() == 0;
        let first = input.peek(format::LOOKAHEAD.max(utf16::LOOKAHEAD))?;
        if first.is_empty() {
            self.section = Section::End;
        } else if gzip::is_member_start(first) {
            drop(input);
            self.section = self.unpack_member(&position);
        } else if let Some(order) = utf16::detect(first) {
            let text = Utf16Reader::new(Rc::clone(&self.input), order);
            self.section = Section::Encoded(Box::new(text));
        } else {
            if let (true, Some(name)) = (is_first, format::detect(first)) {
                self.is_reported = true;
                self.context.report(
                    &position,
                    format!("looks like {name}, which is not supported"),
                );
            }
            self.unclassified_at = input.position();
            self.section = Section::Plain;
        }
        Ok(())
    }

    fn unpack_member(&self, position: &str) -> Section {
        let Some(context) = self.context.nested(position, "gzip") else {
            return Section::End;
        };
        let (input, is_corrupt) = (Rc::clone(&self.input), Rc::clone(&self.is_corrupt));
        let member = GzipMember::new(input, self.context.clone(), is_corrupt);
        Section::Encoded(Box::new(Self::new(Box::new(member), context)))
    }

    /// Skips the rest of a corrupt member.
    fn skip_to_member(&self) -> io::Result<()> {
        let mut input = self.input.borrow_mut();
        while !gzip::is_member_start(input.peek(gzip::LOOKAHEAD)?) {
            let bytes = input.peek(1)?;
            if bytes.is_empty() {
                break;
            }
            let next = memchr::memchr(0x1f, &bytes[1..]);
            let skipped = next.map_or(bytes.len(), |next| next + 1);
            input.consume(skipped);
        }
        Ok(())
    }

    /// Skips line breaks that Firehose and other programs write between members, and zeros that pad
    /// the last block of a tape.
    fn skip_delimiters(&self) -> io::Result<()> {
        let mut input = self.input.borrow_mut();
        while let Some(b'\n' | b'\r' | 0) = input.peek(1)?.first() {
            input.consume(1);
        }
        Ok(())
    }

    /// Reads plain bytes up to the next member. Returns 0 if a member begins here or the input
    /// ends.
    fn read_plain(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut input = self.input.borrow_mut();
        if gzip::is_member_start(input.peek(1)?)
            || input.peek(1)?.first() == Some(&0x1f)
                && gzip::is_member_start(input.peek(gzip::LOOKAHEAD)?)
        {
            self.section = Section::Start;
            return Ok(0);
        }
        let bytes = input.peek(1)?;
        if bytes.is_empty() {
            self.section = Section::End;
            return Ok(0);
        }
        // This byte is a rare control character in text. Once it is the first byte, it is checked
        // as the start of a member.
        let next = memchr::memchr(0x1f, &bytes[1..]).map(|next| next + 1);
        let count = next.unwrap_or(bytes.len()).min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        input.consume(count);
        Ok(count)
    }

    /// Reports binary data, but only once. An empty slice marks the end of a section, where the
    /// bytes collected so far are classified even if there are only a few.
    fn classify(&mut self, bytes: &[u8]) {
        if self.is_reported {
            return;
        }
        self.unclassified.extend_from_slice(bytes);
        if self.unclassified.len() < MIN_CLASSIFIED && !bytes.is_empty() {
            return;
        }
        if format::is_binary(&self.unclassified) {
            self.is_reported = true;
            self.context.report(
                &format!("byte {}", self.unclassified_at),
                "binary data in an unknown format, perhaps compressed or encrypted",
            );
        }
        self.unclassified_at += self.unclassified.len() as u64;
        self.unclassified.clear();
    }
}

impl Read for UnpackReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !buffer.is_empty() && !self.context.is_stopped() {
            match &mut self.section {
                Section::Start => self.begin_section()?,
                Section::Plain => {
                    let count = self.read_plain(buffer)?;
                    self.classify(&buffer[..count]);
                    if count > 0 {
                        return Ok(count);
                    }
                }
                Section::Encoded(content) => {
                    let count = content.read(buffer)?;
                    if count > 0 {
                        return Ok(count);
                    }
                    self.skip_delimiters()?;
                    self.section = Section::Start;
                }
                Section::End => break,
            }
        }
        Ok(0)
    }
}

/// Counts the bytes that are read from the log itself.
struct CountingReader(Box<dyn Read>, UnpackContext);

impl Read for CountingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.count_read(count);
        Ok(count)
    }
}
