//! The text of a log file: nested gzip unpacked, UTF-16 decoded.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use super::context::Context;
use super::format;
use super::gzip::{self, Member};
use super::source::{SharedSource, Source};
use super::utf16::{self, Utf16};

/// Number of plain bytes that are classified together as text or binary: fewer are not
/// representative.
const MIN_JUDGED: usize = 4096;

/// Reads a file that consists of gzip members and text. Binary data is passed through unchanged, so
/// that it can be searched, and is reported.
pub(super) struct Unpacked {
    source: SharedSource,
    context: Context,
    part: Part,
    /// `true` if the member before this part was corrupt.
    is_broken: Rc<Cell<bool>>,
    /// Plain bytes that were not classified yet, and their position.
    unjudged: Vec<u8>,
    unjudged_at: u64,
    is_reported: bool,
}

enum Part {
    /// A part whose kind is not known yet.
    Beginning,
    Plain,
    Packed(Box<dyn Read>),
    End,
}

impl Unpacked {
    pub(super) fn new(reader: Box<dyn Read>, context: Context) -> Self {
        let reader: Box<dyn Read> = if context.is_outermost() {
            Box::new(Counted(reader, context.clone()))
        } else {
            reader
        };
        Self {
            source: Source::shared(reader),
            context,
            part: Part::Beginning,
            is_broken: Rc::default(),
            unjudged: Vec::new(),
            unjudged_at: 0,
            is_reported: false,
        }
    }

    fn place(&self) -> String {
        format!("byte {}", self.source.borrow().position())
    }

    fn begin(&mut self) -> io::Result<()> {
        if self.is_broken.replace(false) {
            self.find_member()?;
        }
        let place = self.place();
        let mut source = self.source.borrow_mut();
        let is_first = source.position() == 0;
        let first = source.peek(format::LOOKAHEAD.max(utf16::LOOKAHEAD))?;
        if first.is_empty() {
            self.part = Part::End;
        } else if gzip::begins(first) {
            drop(source);
            self.part = self.member(&place);
        } else if let Some(order) = utf16::order(first) {
            let text = Utf16::new(Rc::clone(&self.source), order);
            self.part = Part::Packed(Box::new(text));
        } else {
            if let (true, Some(name)) = (is_first, format::of(first)) {
                self.is_reported = true;
                self.context
                    .report(&place, format!("looks like {name}, which is not supported"));
            }
            self.unjudged_at = source.position();
            self.part = Part::Plain;
        }
        Ok(())
    }

    fn member(&self, place: &str) -> Part {
        let Some(context) = self.context.nested(place, "gzip") else {
            return Part::End;
        };
        let (source, is_broken) = (Rc::clone(&self.source), Rc::clone(&self.is_broken));
        let member = Member::new(source, self.context.clone(), is_broken);
        Part::Packed(Box::new(Self::new(Box::new(member), context)))
    }

    /// Skips the rest of a corrupt member.
    fn find_member(&self) -> io::Result<()> {
        let mut source = self.source.borrow_mut();
        while !gzip::begins(source.peek(gzip::LOOKAHEAD)?) {
            let bytes = source.peek(1)?;
            if bytes.is_empty() {
                break;
            }
            let next = memchr::memchr(0x1f, &bytes[1..]);
            let skipped = next.map_or(bytes.len(), |next| next + 1);
            source.consume(skipped);
        }
        Ok(())
    }

    /// Bytes that Firehose and other programs put between members, and the zeros that pad the last
    /// block of a tape.
    fn skip_delimiters(&self) -> io::Result<()> {
        let mut source = self.source.borrow_mut();
        while let Some(b'\n' | b'\r' | 0) = source.peek(1)?.first() {
            source.consume(1);
        }
        Ok(())
    }

    /// Returns plain bytes up to the next member; empty if a member begins here or the input ends.
    fn plain(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut source = self.source.borrow_mut();
        if gzip::begins(source.peek(1)?)
            || source.peek(1)?.first() == Some(&0x1f) && gzip::begins(source.peek(gzip::LOOKAHEAD)?)
        {
            self.part = Part::Beginning;
            return Ok(0);
        }
        let bytes = source.peek(1)?;
        if bytes.is_empty() {
            self.part = Part::End;
            return Ok(0);
        }
        // In text this is a rare control character. It is checked as the start of a member once it
        // is the first byte.
        let next = memchr::memchr(0x1f, &bytes[1..]).map(|next| next + 1);
        let count = next.unwrap_or(bytes.len()).min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        source.consume(count);
        Ok(count)
    }

    /// Reports binary input once. Without new bytes, the bytes collected so far are classified,
    /// however few they are.
    fn judge(&mut self, bytes: &[u8]) {
        if self.is_reported {
            return;
        }
        self.unjudged.extend_from_slice(bytes);
        if self.unjudged.len() < MIN_JUDGED && !bytes.is_empty() {
            return;
        }
        if format::is_binary(&self.unjudged) {
            self.is_reported = true;
            self.context.report(
                &format!("byte {}", self.unjudged_at),
                "binary data in an unknown format, perhaps compressed or encrypted",
            );
        }
        self.unjudged_at += self.unjudged.len() as u64;
        self.unjudged.clear();
    }
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !buffer.is_empty() && !self.context.is_stopped() {
            match &mut self.part {
                Part::Beginning => self.begin()?,
                Part::Plain => {
                    let count = self.plain(buffer)?;
                    self.judge(&buffer[..count]);
                    if count > 0 {
                        return Ok(count);
                    }
                }
                Part::Packed(content) => {
                    let count = content.read(buffer)?;
                    if count > 0 {
                        return Ok(count);
                    }
                    self.skip_delimiters()?;
                    self.part = Part::Beginning;
                }
                Part::End => break,
            }
        }
        Ok(0)
    }
}

/// Counts the bytes read from the log itself.
struct Counted(Box<dyn Read>, Context);

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.count_read(count);
        Ok(count)
    }
}
