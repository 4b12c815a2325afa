//! `{"timestamp":…,"level":…,"target":…,"message":…,FIELDS…,"trace_id":…,"span_id":…,"requestId":…,"messageId":…}`.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::time::SystemTime;

use opentelemetry::trace::{SpanId, TraceId};

use super::{FieldWriter, Form, Value, decimal, hex, key, signed, timestamp};

pub(super) struct Line<'a>(&'a mut Vec<u8>);

impl<'a> Line<'a> {
    pub(super) fn begin(out: &'a mut Vec<u8>) -> Self {
        Self(out)
    }

    fn key(&mut self, before: &[u8], name: &str) {
        self.0.extend_from_slice(before);
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn name(&mut self, name: &str) {
        self.0.extend_from_slice(b",\"");
        escaped(self.0, name);
        self.0.extend_from_slice(b"\":");
    }

    fn quoted(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.0.push(b'"');
        write(self.0);
        self.0.push(b'"');
    }
}

impl Form for Line<'_> {
    fn head(&mut self, now: SystemTime, level: &'static str, target: &str) {
        self.key(b"{", key::TIMESTAMP);
        self.quoted(|out| timestamp::write(out, now));
        self.key(b",", key::LEVEL);
        self.quoted(|out| out.extend_from_slice(level.as_bytes()));
        self.key(b",", key::TARGET);
        self.quoted(|out| escaped(out, target));
    }

    fn span(&mut self, trace_id: TraceId, span_id: SpanId) {
        self.key(b",", key::TRACE_ID);
        self.quoted(|out| hex(out, &trace_id.to_bytes()));
        self.key(b",", key::SPAN_ID);
        self.quoted(|out| hex(out, &span_id.to_bytes()));
    }

    fn id(&mut self, key: &str, id: &str) {
        self.key(b",", key);
        self.quoted(|out| escaped(out, id));
    }

    fn end(&mut self) {
        self.0.extend_from_slice(b"}\n");
    }
}

impl FieldWriter for Line<'_> {
    fn is_reserved(key: &str) -> bool {
        key::is_reserved(key)
    }

    fn put(&mut self, key: &str, value: Value<'_>) {
        self.name(key);
        match value {
            Value::Bool(true) => self.0.extend_from_slice(b"true"),
            Value::Bool(false) => self.0.extend_from_slice(b"false"),
            Value::Signed(number) => signed(self.0, number),
            Value::Unsigned(number) => decimal(self.0, number),
            Value::Double(number) => double(self.0, number),
            Value::Text(text) => self.quoted(|out| escaped(out, text)),
            Value::Bytes(bytes) => self.quoted(|out| hex(out, bytes)),
            // Only the text's own code can fail; what it has written by then stays.
            Value::Made(text) => self.quoted(|out| {
                let _ = write!(Escaping(out), "{text:?}");
            }),
        }
    }
}

/// What is no number in JSON becomes text. Writing to a `Vec` does not fail.
fn double(out: &mut Vec<u8>, number: f64) {
    let _ = match number.is_finite() {
        true => write!(out, "{number:?}"),
        false => write!(out, "\"{number}\""),
    };
}

/// Escapes what is written to it.
struct Escaping<'a>(&'a mut Vec<u8>);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escaped(self.0, text);
        Ok(())
    }
}

fn must_be_escaped(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// Bytes that are looked at together.
const WORD: usize = 8;

/// Whether one of the bytes must be escaped.
fn any_must_be_escaped(word: [u8; WORD]) -> bool {
    const fn of(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; WORD])
    }
    let word = u64::from_ne_bytes(word);
    // A byte that is less than `limit` has its highest bit set by the borrow. A borrow goes on to
    // the next byte only where one is found.
    let below = |word: u64, limit: u8| word.wrapping_sub(of(limit)) & !word;
    let found = below(word, b' ') | below(word ^ of(b'"'), 1) | below(word ^ of(b'\\'), 1);
    found & of(0x80) != 0
}

/// Writes the inside of a JSON string.
fn escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let (words, rest) = bytes.as_chunks();
    let found = words.iter().any(|word| any_must_be_escaped(*word))
        || match bytes.last_chunk() {
            // Some of these a second time, which costs less than one by one.
            Some(last) => any_must_be_escaped(*last),
            None => rest.iter().any(|byte| must_be_escaped(*byte)),
        };
    match found {
        false => out.extend_from_slice(bytes),
        true => bytes.iter().for_each(|byte| escape(out, *byte)),
    }
}

/// Bytes of other characters than ASCII's pass as they are.
fn escape(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        control if must_be_escaped(control) => {
            out.extend_from_slice(b"\\u00");
            hex(out, &[control]);
        }
        other => out.push(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_must_be_escaped_is_found_in_every_place() {
        for byte in 0..=u8::MAX {
            for filler in [b'a', b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xff] {
                for place in 0..WORD {
                    let mut word = [filler; WORD];
                    word[place] = byte;
                    let expected = must_be_escaped(byte);
                    assert_eq!(any_must_be_escaped(word), expected, "{word:?}");
                }
            }
        }
    }
}
