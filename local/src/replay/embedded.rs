//! Base64 in text, with its content in its place: CloudWatch's subscription filters, Kinesis and Firehose carry log events so.

use std::io::{self, Cursor, Read};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use memchr::memmem;

use super::context::Context;
use super::markers::Search;

/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;
/// Base64 of what every gzip member begins with.
const GZIP: &[u8] = b"H4sI";
/// The end of the name of a member that has base64: `data`, `Data`.
const DATA: &[u8] = b"ata";
/// Shorter base64 cannot be a gzip member with content.
const MIN_LENGTH: usize = 24;
/// The longest base64 that is kept in memory: a record of Kinesis is at most 10 MiB, other events are shorter.
const MAX_LENGTH: usize = 32 * 1024 * 1024;
/// A line of base64 is at least so long where more lines follow: MIME has 76 characters, PEM 64.
const MIN_WRAPPED: usize = 60;
/// So much before `data` is searched for members that stand beside it.
const CONTEXT_BYTES: usize = 1024;
/// And so much behind its value.
const BEHIND_BYTES: usize = 128;
/// Names that stand beside `data` in a subscription event, an event from Kinesis or Firehose, and in what `get-records` returns.
const ENVELOPES: [&[u8]; 7] = [
    b"awslogs",
    b"kinesis",
    b"recordId",
    b"partitionKey",
    b"sequenceNumber",
    b"PartitionKey",
    b"SequenceNumber",
];

/// Takes what programs leave out at the end, as it loses nothing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Text with base64 of gzip, and of records in which base64 is expected, replaced by its content.
pub(super) struct Embedded<R> {
    input: R,
    context: Context,
    /// What is read at once, before it gets into the buffer.
    piece: Vec<u8>,
    buffer: Vec<u8>,
    /// Bytes before the buffer.
    dropped: u64,
    at: usize,
    is_at_end: bool,
    /// The last bytes that were passed on.
    passed: Vec<u8>,
    line: u64,
    is_at_start: bool,
    /// The content of the base64 under way.
    content: Option<Box<dyn Read>>,
    searches: [Search; 2],
}

/// Base64 as it stands in text.
struct Run {
    /// Without line breaks and escapes.
    characters: Vec<u8>,
    /// Where it ends in the buffer.
    end: usize,
}

impl<R: Read> Embedded<R> {
    pub(super) fn new(input: R, context: Context) -> Self {
        Self {
            input,
            context,
            piece: vec![0; READ_BYTES],
            buffer: Vec::new(),
            dropped: 0,
            at: 0,
            is_at_end: false,
            passed: Vec::new(),
            line: 1,
            is_at_start: true,
            content: None,
            searches: [GZIP, DATA].map(Search::new),
        }
    }

    fn fill(&mut self) -> io::Result<bool> {
        let count = self.input.read(&mut self.piece)?;
        self.buffer.extend_from_slice(&self.piece[..count]);
        self.is_at_end = count == 0;
        Ok(!self.is_at_end)
    }

    /// The byte at a place of the buffer, which is read as far as that.
    fn byte(&mut self, at: usize) -> io::Result<Option<u8>> {
        while at >= self.buffer.len() && !self.is_at_end {
            self.fill()?;
        }
        Ok(self.buffer.get(at).copied())
    }

    /// How many bytes can be passed on before something that may be base64, or its beginning.
    fn plain(&mut self) -> usize {
        let Self {
            buffer,
            dropped,
            at,
            ..
        } = self;
        let searches = self.searches.iter_mut();
        let found = searches.filter_map(|search| search.next(buffer, *dropped, *at));
        let first = found.min().unwrap_or(buffer.len()) - *at;
        let rest = &buffer[*at..];
        // What is searched for may be cut off where the buffer ends.
        let tails = [GZIP, DATA]
            .into_iter()
            .flat_map(|name| (1..name.len()).map(move |length| &name[..length]));
        let tail = tails
            .filter(|tail| rest.ends_with(tail))
            .map(<[u8]>::len)
            .max();
        first.min(rest.len() - if self.is_at_end { 0 } else { tail.unwrap_or(0) })
    }

    fn pass(&mut self, buffer: &mut [u8], count: usize) -> usize {
        let count = count.min(buffer.len());
        let bytes = &self.buffer[self.at..self.at + count];
        buffer[..count].copy_from_slice(bytes);
        self.line += memchr::memchr_iter(b'\n', bytes).count() as u64;
        self.passed
            .extend_from_slice(&bytes[bytes.len().saturating_sub(CONTEXT_BYTES)..]);
        let excess = self.passed.len().saturating_sub(CONTEXT_BYTES);
        self.passed.drain(..excess);
        self.at += count;
        count
    }

    /// Looks for base64 at the place that has been reached, and passes over it if it is there.
    fn embedded(&mut self) -> io::Result<bool> {
        self.byte(self.at + GZIP.len())?;
        let rest = &self.buffer[self.at..];
        let is_start = std::mem::take(&mut self.is_at_start);
        if rest.starts_with(GZIP) && !self.passed.last().is_some_and(|byte| is_base64(*byte)) {
            return self.gzip();
        }
        if rest.starts_with(DATA) && matches!(self.passed.last(), Some(b'd' | b'D')) {
            return self.data();
        }
        if is_start && is_base64_line(rest) {
            let run = self.run(self.at)?;
            return Ok(self.decode(&run));
        }
        Ok(false)
    }

    fn gzip(&mut self) -> io::Result<bool> {
        let run = self.run(self.at)?;
        Ok(run.characters.len() >= MIN_LENGTH && self.decode(&run))
    }

    /// The value of a member `data`, if it stands in the record of a service that has base64 there.
    fn data(&mut self) -> io::Result<bool> {
        let Some(start) = self.value(self.at + DATA.len())? else {
            return Ok(false);
        };
        let run = self.run(start)?;
        if !self.is_in_envelope(run.end)? {
            return Ok(false);
        }
        let behind = self.byte(run.end)?;
        // YAML and text output have no quotation mark.
        let is_whole = behind
            .is_none_or(|byte| matches!(byte, b'"' | b'\\' | b'\'') || byte.is_ascii_whitespace());
        // Gzip is found where it begins. These services pad base64, so that anything else is the value of another program.
        let is_base64 = run.characters.len() >= MIN_LENGTH && run.characters.len() % 4 == 0;
        if is_whole && (run.characters.starts_with(GZIP) || !is_base64) {
            return Ok(false);
        }
        if is_whole {
            return Ok(self.decode(&run));
        }
        if !self.is_text(run.end)? {
            self.report("the data of a record is not valid base64");
        }
        Ok(false)
    }

    /// Whether the names of an envelope stand near a value that ends here.
    fn is_in_envelope(&mut self, end: usize) -> io::Result<bool> {
        let has_name = |text: &[u8]| {
            ENVELOPES
                .iter()
                .any(|name| memmem::find(text, name).is_some())
        };
        if has_name(&self.passed) {
            return Ok(true);
        }
        // Some tools sort the members.
        self.byte(end + BEHIND_BYTES)?;
        let behind = &self.buffer[end..];
        Ok(has_name(&behind[..behind.len().min(BEHIND_BYTES)]))
    }

    /// Whether a value that is not base64 is text, which can be searched as it is.
    fn is_text(&mut self, at: usize) -> io::Result<bool> {
        self.byte(at + MIN_LENGTH)?;
        let rest = &self.buffer[at..];
        let value = rest.split(|byte| *byte == b'"').next().unwrap_or_default();
        let mut first = value.iter().take(MIN_LENGTH);
        Ok(first.any(|byte| matches!(byte, b' ' | b'{' | b'[' | b':' | b',' | b'\\')))
    }

    /// Where a member's value begins: `"data": "VALUE`, also in JSON that is a string, or `Data: VALUE`.
    fn value(&mut self, mut at: usize) -> io::Result<Option<usize>> {
        let mut has_colon = false;
        loop {
            match self.byte(at)? {
                Some(b':') if !has_colon => has_colon = true,
                Some(b'"' | b'\\' | b'\'' | b' ') => {}
                Some(_) => return Ok(has_colon.then_some(at)),
                None => return Ok(None),
            }
            at += 1;
        }
    }

    /// Base64 from a place of the buffer on, over line breaks where it was wrapped.
    fn run(&mut self, mut at: usize) -> io::Result<Run> {
        let mut characters = Vec::new();
        let mut width = 0;
        while characters.len() < MAX_LENGTH {
            match self.byte(at)? {
                Some(byte) if is_base64(byte) => {
                    characters.push(byte);
                    width += 1;
                    at += 1;
                }
                Some(b'\\') => match self.escaped(at)? {
                    Some((Escaped::Character(byte), end)) => {
                        characters.push(byte);
                        at = end;
                    }
                    Some((Escaped::LineBreak, end)) => {
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
        Ok(Run {
            characters,
            end: at,
        })
    }

    /// The beginning of the next line, if it is base64 too.
    fn next_line(&mut self, mut at: usize) -> io::Result<Option<usize>> {
        while self
            .byte(at)?
            .is_some_and(|byte| byte.is_ascii_whitespace())
        {
            at += 1;
        }
        let mut end = at;
        while self.byte(end)?.is_some_and(is_base64) {
            end += 1;
        }
        let is_end = self
            .byte(end)?
            .is_none_or(|byte| matches!(byte, b'\n' | b'\r' | b'"' | b'\''));
        Ok((end > at && is_end).then_some(at))
    }

    /// A character that JSON has as an escape, in a string of a string with more backslashes.
    fn escaped(&mut self, mut at: usize) -> io::Result<Option<(Escaped, usize)>> {
        while self.byte(at)? == Some(b'\\') {
            at += 1;
        }
        // As many as a number takes.
        self.byte(at + 4)?;
        let rest = &self.buffer[at.min(self.buffer.len())..];
        let (escaped, length) = match rest {
            [b'n' | b'r', ..] => (Escaped::LineBreak, 1),
            [b'/', ..] => (Escaped::Character(b'/'), 1),
            [b'u', b'0', b'0', b'2', b'b' | b'B', ..] => (Escaped::Character(b'+'), 5),
            [b'u', b'0', b'0', b'2', b'f' | b'F', ..] => (Escaped::Character(b'/'), 5),
            [b'u', b'0', b'0', b'3', b'd' | b'D', ..] => (Escaped::Character(b'='), 5),
            _ => return Ok(None),
        };
        Ok(Some((escaped, at + length)))
    }

    /// Puts the content in the place of its base64; leaves what cannot be decoded.
    fn decode(&mut self, run: &Run) -> bool {
        if run.characters.len() >= MAX_LENGTH {
            self.report(&format!(
                "base64 is longer than {MAX_LENGTH} characters and is not decoded"
            ));
            return false;
        }
        let characters = run.characters.trim_ascii_end();
        let padding = characters
            .iter()
            .rev()
            .take_while(|byte| **byte == b'=')
            .count();
        let text = &characters[..characters.len() - padding];
        // One character alone has six bits of a byte.
        let whole = text.len() - usize::from(text.len() % 4 == 1);
        let decoded = BASE64.decode(&text[..whole]);
        let Ok(decoded) = decoded else {
            self.report("base64 cannot be decoded");
            return false;
        };
        let Some(context) = self
            .context
            .nested(&format!("line {}", self.line), "base64")
        else {
            return false;
        };
        self.line += memchr::memchr_iter(b'\n', &self.buffer[self.at..run.end]).count() as u64;
        self.at = run.end;
        let content = super::input::text(Box::new(Cursor::new(decoded)), &context);
        self.content = Some(Box::new(
            Cursor::new(b"\n").chain(content).chain(Cursor::new(b"\n")),
        ));
        true
    }

    fn report(&self, text: &str) {
        self.context.report(&format!("line {}", self.line), text);
    }
}

enum Escaped {
    Character(u8),
    LineBreak,
}

impl<R: Read> Read for Embedded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !buffer.is_empty() {
            if let Some(content) = &mut self.content {
                match content.read(buffer)? {
                    0 => self.content = None,
                    count => return Ok(count),
                }
            }
            if self.at == self.buffer.len() {
                self.dropped += self.at as u64;
                self.buffer.clear();
                self.at = 0;
                if self.is_at_end || !self.fill()? {
                    return Ok(0);
                }
            }
            if self.is_at_start && self.embedded()? {
                continue;
            }
            let plain = self.plain();
            if plain > 0 {
                return Ok(self.pass(buffer, plain));
            }
            if !self.embedded()? {
                return Ok(self.pass(buffer, 1));
            }
        }
        Ok(0)
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// Whether a log begins with a line of base64, and so is base64 as a whole. A line of hexadecimal digits is none.
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
