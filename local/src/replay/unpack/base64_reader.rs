//! Decoding of base64 in text. Events of CloudWatch's subscription filters, Kinesis and Firehose
//! contain log events as base64.

use std::io::{self, Cursor, Read};

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};
use memchr::memmem;

use super::context::UnpackContext;
use crate::replay::byte_search::ByteSearch;

/// Number of bytes per read.
const READ_BYTES: usize = 64 * 1024;
/// Base64 of the first bytes of every gzip member.
const GZIP: &[u8] = b"H4sI";
/// Suffix of the names of members that contain base64: `data` and `Data`.
const DATA: &[u8] = b"ata";
/// Minimum length of base64 that contains a gzip member with content.
const MIN_LENGTH: usize = 24;
/// Limit on the length of base64 that is decoded in memory. A Kinesis record has at most 10 MiB;
/// other events are shorter.
const MAX_LENGTH: usize = 32 * 1024 * 1024;
/// Minimum length of a line of base64 that continues on the next line. Lines in MIME have 76
/// characters, in PEM 64.
const MIN_WRAPPED: usize = 60;
/// Number of bytes before `data` that are searched for its sibling members.
const LOOKBEHIND_BYTES: usize = 1024;
/// Number of bytes after the value that are searched for sibling members.
const LOOKAHEAD_BYTES: usize = 128;
/// Names of sibling members of `data` in a subscription event, in events of Kinesis and Firehose,
/// and in the output of `get-records`.
const ENVELOPES: [&[u8]; 7] = [
    b"awslogs",
    b"kinesis",
    b"recordId",
    b"partitionKey",
    b"sequenceNumber",
    b"PartitionKey",
    b"SequenceNumber",
];

/// Decoder that accepts missing padding and non-zero trailing bits, which some programs write.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads text in which base64 is replaced with its content: base64 of gzip anywhere, and other
/// base64 only in records that are known to contain it.
pub(super) struct Base64Reader<R> {
    input: R,
    context: UnpackContext,
    /// Buffer for one read.
    chunk: Vec<u8>,
    buffer: Vec<u8>,
    /// Number of bytes of the log before the buffer.
    discarded: u64,
    at: usize,
    is_at_end: bool,
    /// Last bytes that were returned to the reader.
    passed: Vec<u8>,
    line: u64,
    is_at_start: bool,
    /// Content of the current base64.
    content: Option<Box<dyn Read>>,
    searches: [ByteSearch; 2],
    /// Unpacks decoded content. It is a parameter, because unpacking uses this reader.
    unpack: UnpackFn,
}

type UnpackFn = fn(Box<dyn Read>, &UnpackContext) -> Box<dyn Read>;

/// Base64 found in text.
struct Base64Text {
    /// Characters without line breaks and escapes.
    characters: Vec<u8>,
    /// End position in the buffer.
    end: usize,
}

impl<R: Read> Base64Reader<R> {
    pub(super) fn new(input: R, context: UnpackContext, unpack: UnpackFn) -> Self {
        Self {
            input,
            context,
            chunk: vec![0; READ_BYTES],
            buffer: Vec::new(),
            discarded: 0,
            at: 0,
            is_at_end: false,
            passed: Vec::new(),
            line: 1,
            is_at_start: true,
            content: None,
            searches: [GZIP, DATA].map(ByteSearch::new),
            unpack,
        }
    }

    fn fill(&mut self) -> io::Result<bool> {
        let count = self.input.read(&mut self.chunk)?;
        self.buffer.extend_from_slice(&self.chunk[..count]);
        self.is_at_end = count == 0;
        Ok(!self.is_at_end)
    }

    /// Returns the byte at a position in the buffer, and reads more of the log if necessary.
    fn byte_at(&mut self, at: usize) -> io::Result<Option<u8>> {
        while at >= self.buffer.len() && !self.is_at_end {
            self.fill()?;
        }
        Ok(self.buffer.get(at).copied())
    }

    /// Returns the number of bytes before the next position at which base64 may begin.
    fn plain_length(&mut self) -> usize {
        let Self {
            buffer,
            discarded,
            at,
            ..
        } = self;
        let searches = self.searches.iter_mut();
        let found = searches.filter_map(|search| search.next(buffer, *discarded, *at));
        let first = found.min().unwrap_or(buffer.len()) - *at;
        let rest = &buffer[*at..];
        // A match may begin at the end of the buffer and continue beyond it.
        let tails = [GZIP, DATA]
            .into_iter()
            .flat_map(|name| (1..name.len()).map(move |length| &name[..length]));
        let tail = tails
            .filter(|tail| rest.ends_with(tail))
            .map(<[u8]>::len)
            .max();
        first.min(rest.len() - if self.is_at_end { 0 } else { tail.unwrap_or(0) })
    }

    fn copy(&mut self, buffer: &mut [u8], count: usize) -> usize {
        let count = count.min(buffer.len());
        let bytes = &self.buffer[self.at..self.at + count];
        buffer[..count].copy_from_slice(bytes);
        self.line += memchr::memchr_iter(b'\n', bytes).count() as u64;
        self.passed
            .extend_from_slice(&bytes[bytes.len().saturating_sub(LOOKBEHIND_BYTES)..]);
        let excess = self.passed.len().saturating_sub(LOOKBEHIND_BYTES);
        self.passed.drain(..excess);
        self.at += count;
        count
    }

    /// Consumes base64 at the current position. Returns false if the position has none.
    fn read_base64(&mut self) -> io::Result<bool> {
        self.byte_at(self.at + GZIP.len())?;
        let rest = &self.buffer[self.at..];
        let is_start = std::mem::take(&mut self.is_at_start);
        if rest.starts_with(GZIP) && !self.passed.last().is_some_and(|byte| is_base64(*byte)) {
            return self.read_gzip();
        }
        if rest.starts_with(DATA) && matches!(self.passed.last(), Some(b'd' | b'D')) {
            return self.read_data();
        }
        if is_start && is_base64_line(rest) {
            let text = self.read_characters(self.at)?;
            return Ok(self.decode(&text));
        }
        Ok(false)
    }

    fn read_gzip(&mut self) -> io::Result<bool> {
        let text = self.read_characters(self.at)?;
        Ok(text.characters.len() >= MIN_LENGTH && self.decode(&text))
    }

    /// Decodes the value of a member `data` if it belongs to a record of a service that stores
    /// base64 there.
    fn read_data(&mut self) -> io::Result<bool> {
        let Some(start) = self.find_value(self.at + DATA.len())? else {
            return Ok(false);
        };
        let text = self.read_characters(start)?;
        if !self.is_in_envelope(text.end)? {
            return Ok(false);
        }
        let after = self.byte_at(text.end)?;
        // Values in YAML and in text output have no quotation marks.
        let is_whole = after
            .is_none_or(|byte| matches!(byte, b'"' | b'\\' | b'\'') || byte.is_ascii_whitespace());
        // Gzip is detected by its first bytes instead. These services pad base64, so an unpadded
        // value belongs to another program.
        let is_base64 = text.characters.len() >= MIN_LENGTH && text.characters.len() % 4 == 0;
        if is_whole && (text.characters.starts_with(GZIP) || !is_base64) {
            return Ok(false);
        }
        if is_whole {
            return Ok(self.decode(&text));
        }
        if !self.is_text(text.end)? {
            self.report("the data of a record is not valid base64");
        }
        Ok(false)
    }

    /// Returns true if a member name of an envelope is near a value that ends at `end`.
    fn is_in_envelope(&mut self, end: usize) -> io::Result<bool> {
        let has_name = |text: &[u8]| {
            ENVELOPES
                .iter()
                .any(|name| memmem::find(text, name).is_some())
        };
        if has_name(&self.passed) {
            return Ok(true);
        }
        // Some tools sort the members, so the names may follow the value.
        self.byte_at(end + LOOKAHEAD_BYTES)?;
        let after = &self.buffer[end..];
        Ok(has_name(&after[..after.len().min(LOOKAHEAD_BYTES)]))
    }

    /// Returns true if a value that is not base64 is text, which can be searched without decoding.
    fn is_text(&mut self, at: usize) -> io::Result<bool> {
        self.byte_at(at + MIN_LENGTH)?;
        let rest = &self.buffer[at..];
        let value = rest.split(|byte| *byte == b'"').next().unwrap_or_default();
        let mut first = value.iter().take(MIN_LENGTH);
        Ok(first.any(|byte| matches!(byte, b' ' | b'{' | b'[' | b':' | b',' | b'\\')))
    }

    /// Returns the start of a member's value: `"data": "VALUE`, also in nested JSON strings, or
    /// `Data: VALUE`.
    fn find_value(&mut self, mut at: usize) -> io::Result<Option<usize>> {
        let mut has_colon = false;
        loop {
            match self.byte_at(at)? {
                Some(b':') if !has_colon => has_colon = true,
                Some(b'"' | b'\\' | b'\'' | b' ') => {}
                Some(_) => return Ok(has_colon.then_some(at)),
                None => return Ok(None),
            }
            at += 1;
        }
    }

    /// Reads base64 from a position in the buffer, across line breaks if its lines are wrapped, and
    /// converts the URL-safe alphabet (RFC 4648, section 5) to the standard one.
    fn read_characters(&mut self, mut at: usize) -> io::Result<Base64Text> {
        let mut characters = Vec::new();
        let mut is_url_safe = false;
        let mut width = 0;
        while characters.len() < MAX_LENGTH {
            match self.byte_at(at)? {
                Some(byte @ (b'-' | b'_')) if is_url_safe || may_be_url_safe(&characters) => {
                    is_url_safe = true;
                    characters.push(if byte == b'-' { b'+' } else { b'/' });
                    width += 1;
                    at += 1;
                }
                Some(byte) if is_base64(byte) && !(is_url_safe && matches!(byte, b'+' | b'/')) => {
                    characters.push(byte);
                    width += 1;
                    at += 1;
                }
                Some(b'\\') => match self.read_escape(at)? {
                    Some((Escape::Character(byte), end)) => {
                        characters.push(byte);
                        at = end;
                    }
                    Some((Escape::LineBreak, end)) => {
                        width = 0;
                        at = end;
                    }
                    None => break,
                },
                Some(b'\n' | b'\r') if width >= MIN_WRAPPED && characters.last() != Some(&b'=') => {
                    let Some(next) = self.next_line(at)? else {
                        break;
                    };
                    width = 0;
                    at = next;
                }
                _ => break,
            }
        }
        Ok(Base64Text {
            characters,
            end: at,
        })
    }

    /// Returns the start of the next line if that line is base64 too.
    fn next_line(&mut self, mut at: usize) -> io::Result<Option<usize>> {
        while self
            .byte_at(at)?
            .is_some_and(|byte| byte.is_ascii_whitespace())
        {
            at += 1;
        }
        let mut end = at;
        while self
            .byte_at(end)?
            .is_some_and(|byte| is_base64(byte) || matches!(byte, b'-' | b'_'))
        {
            end += 1;
        }
        let is_end = self
            .byte_at(end)?
            .is_none_or(|byte| matches!(byte, b'\n' | b'\r' | b'"' | b'\''));
        Ok((end > at && is_end).then_some(at))
    }

    /// Decodes a JSON escape. In nested strings it has several backslashes.
    fn read_escape(&mut self, mut at: usize) -> io::Result<Option<(Escape, usize)>> {
        while self.byte_at(at)? == Some(b'\\') {
            at += 1;
        }
        // A numeric escape has four digits after the `u`.
        self.byte_at(at + 4)?;
        let rest = &self.buffer[at.min(self.buffer.len())..];
        let (escaped, length) = match rest {
            [b'n' | b'r', ..] => (Escape::LineBreak, 1),
            [b'/', ..] => (Escape::Character(b'/'), 1),
            [b'u', b'0', b'0', b'2', b'b' | b'B', ..] => (Escape::Character(b'+'), 5),
            [b'u', b'0', b'0', b'2', b'f' | b'F', ..] => (Escape::Character(b'/'), 5),
            [b'u', b'0', b'0', b'3', b'd' | b'D', ..] => (Escape::Character(b'='), 5),
            _ => return Ok(None),
        };
        Ok(Some((escaped, at + length)))
    }

    /// Replaces base64 with its content. Returns false if it cannot be decoded and remains
    /// unchanged.
    fn decode(&mut self, text: &Base64Text) -> bool {
        if text.characters.len() >= MAX_LENGTH {
            self.report(&format!(
                "base64 is longer than {MAX_LENGTH} characters and is not decoded"
            ));
            return false;
        }
        let characters = text.characters.trim_ascii_end();
        let padding = characters
            .iter()
            .rev()
            .take_while(|byte| **byte == b'=')
            .count();
        let unpadded = &characters[..characters.len() - padding];
        // A single character at the end has only six bits, which are not a byte.
        let whole = unpadded.len() - usize::from(unpadded.len() % 4 == 1);
        let decoded = BASE64.decode(&unpadded[..whole]);
        let Ok(decoded) = decoded else {
            self.report("invalid base64");
            return false;
        };
        let Some(context) = self
            .context
            .nested(&format!("line {}", self.line), "base64")
        else {
            return false;
        };
        self.line += memchr::memchr_iter(b'\n', &self.buffer[self.at..text.end]).count() as u64;
        self.at = text.end;
        let content = (self.unpack)(Box::new(Cursor::new(decoded)), &context);
        self.content = Some(Box::new(
            Cursor::new(b"\n").chain(content).chain(Cursor::new(b"\n")),
        ));
        true
    }

    fn report(&self, text: &str) {
        self.context.report(&format!("line {}", self.line), text);
    }
}

enum Escape {
    Character(u8),
    LineBreak,
}

impl<R: Read> Read for Base64Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !buffer.is_empty() {
            if let Some(content) = &mut self.content {
                match content.read(buffer)? {
                    0 => self.content = None,
                    count => return Ok(count),
                }
            }
            if self.at == self.buffer.len() {
                self.discarded += self.at as u64;
                self.buffer.clear();
                self.at = 0;
                if self.is_at_end || !self.fill()? {
                    return Ok(0);
                }
            }
            if self.is_at_start && self.read_base64()? {
                continue;
            }
            let plain = self.plain_length();
            if plain > 0 {
                return Ok(self.copy(buffer, plain));
            }
            if !self.read_base64()? {
                return Ok(self.copy(buffer, 1));
            }
        }
        Ok(0)
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// Returns true if base64 that begins with these characters may use the URL-safe alphabet.
/// Otherwise, a hyphen or an underscore after it is text.
fn may_be_url_safe(characters: &[u8]) -> bool {
    !characters
        .iter()
        .any(|byte| matches!(byte, b'+' | b'/' | b'='))
}

/// Returns true if the first line of a log is base64, so that the whole log is. A line of
/// hexadecimal digits is not base64.
fn is_base64_line(text: &[u8]) -> bool {
    let line = text
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .next()
        .unwrap_or_default();
    let line = &line[..line.len().min(READ_BYTES)];
    let has = |is: fn(&u8) -> bool| line.iter().any(is);
    line.len() >= MIN_WRAPPED
        && line.iter().all(|byte| is_base64(*byte))
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_digit)
}
