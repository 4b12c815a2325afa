//! Lines in JSON, with the keys `timestamp`, `level`, `target` and `message`, the fields,
//! `trace_id`, `span_id`, `requestId` and `messageId` in this order.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::time::SystemTime;

use opentelemetry::trace::{SpanId, TraceId};

use super::{FieldWriter, LineFormat, LogValue, decimal, key, signed, timestamp};
use crate::hex;

pub(super) struct JsonLine<'a>(&'a mut Vec<u8>);

impl<'a> JsonLine<'a> {
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
        write_escaped(self.0, name);
        self.0.extend_from_slice(b"\":");
    }

    fn quoted(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.0.push(b'"');
        write(self.0);
        self.0.push(b'"');
    }
}

impl LineFormat for JsonLine<'_> {
    fn head(&mut self, now: SystemTime, level: &'static str, target: &str) {
        self.key(b"{", key::TIMESTAMP);
        self.quoted(|out| timestamp::write(out, now));
        self.key(b",", key::LEVEL);
        self.quoted(|out| out.extend_from_slice(level.as_bytes()));
        self.key(b",", key::TARGET);
        self.quoted(|out| write_escaped(out, target));
    }

    fn span(&mut self, trace_id: TraceId, span_id: SpanId) {
        self.key(b",", key::TRACE_ID);
        self.quoted(|out| hex::encode(out, &trace_id.to_bytes()));
        self.key(b",", key::SPAN_ID);
        self.quoted(|out| hex::encode(out, &span_id.to_bytes()));
    }

    fn id(&mut self, key: &str, id: &str) {
        self.key(b",", key);
        self.quoted(|out| write_escaped(out, id));
    }

    fn end(&mut self) {
        self.0.extend_from_slice(b"}\n");
    }
}

impl FieldWriter for JsonLine<'_> {
    fn is_reserved(key: &str) -> bool {
        key::is_reserved(key)
    }

    fn put(&mut self, key: &str, value: LogValue<'_>) {
        self.name(key);
        match value {
            LogValue::Bool(true) => self.0.extend_from_slice(b"true"),
            LogValue::Bool(false) => self.0.extend_from_slice(b"false"),
            LogValue::Signed(number) => signed(self.0, number),
            LogValue::Unsigned(number) => decimal(self.0, number),
            LogValue::Double(number) => double(self.0, number),
            LogValue::Text(text) => self.quoted(|out| write_escaped(out, text)),
            LogValue::Bytes(bytes) => self.quoted(|out| hex::encode(out, bytes)),
            // Only the formatting code of the value can fail. Its output so far is kept.
            LogValue::Debug(text) => self.quoted(|out| {
                let _ = write!(EscapingWriter(out), "{text:?}");
            }),
        }
    }
}

/// Writes a number. NaN and infinity, which JSON does not have, become strings. Writing to a `Vec`
/// cannot fail.
fn double(out: &mut Vec<u8>, number: f64) {
    let _ = if number.is_finite() {
        write!(out, "{number:?}")
    } else {
        write!(out, "\"{number}\"")
    };
}

/// Writer that escapes text for a JSON string.
struct EscapingWriter<'a>(&'a mut Vec<u8>);

impl fmt::Write for EscapingWriter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_escaped(self.0, text);
        Ok(())
    }
}

fn must_be_escaped(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// Number of bytes that are checked together.
const WORD: usize = 8;

/// Returns `true` if one of the bytes must be escaped.
fn any_must_be_escaped(word: [u8; WORD]) -> bool {
    const fn repeat(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; WORD])
    }
    let word = u64::from_ne_bytes(word);
    // In a byte that is less than `limit`, the borrow sets the highest bit. It affects the next
    // byte only if such a byte has been found, which is all that matters.
    let below = |word: u64, limit: u8| word.wrapping_sub(repeat(limit)) & !word;
    let found = below(word, b' ') | below(word ^ repeat(b'"'), 1) | below(word ^ repeat(b'\\'), 1);
    found & repeat(0x80) != 0
}

/// Writes the content of a JSON string.
fn write_escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let (words, rest) = bytes.as_chunks();
    let found = words.iter().any(|word| any_must_be_escaped(*word))
        || match bytes.last_chunk() {
            // This checks some bytes a second time, which is cheaper than one by one.
            Some(last) => any_must_be_escaped(*last),
            None => rest.iter().any(|byte| must_be_escaped(*byte)),
        };
    if found {
        bytes.iter().for_each(|byte| escape(out, *byte));
    } else {
        out.extend_from_slice(bytes);
    }
}

/// Writes a byte of a string, escaped if necessary. Bytes of non-ASCII characters are not escaped.
fn escape(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        control if must_be_escaped(control) => {
            out.extend_from_slice(b"\\u00");
            hex::encode(out, &[control]);
        }
        other => out.push(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_must_be_escaped_are_found_at_every_position() {
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
