//! `TIMESTAMP LEVEL TARGET: MESSAGE FIELD=VALUE… trace_id=… span_id=… requestId=… messageId=…`, to
//! be read.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::time::SystemTime;

use opentelemetry::trace::{SpanId, TraceId};

use super::fields::MESSAGE;
use super::{FieldWriter, Form, Value, decimal, hex, key, signed, timestamp};

pub(super) struct Line<'a>(&'a mut Vec<u8>);

impl<'a> Line<'a> {
    pub(super) fn begin(out: &'a mut Vec<u8>) -> Self {
        Self(out)
    }

    fn key(&mut self, name: &str) {
        self.0.push(b' ');
        bare(self.0, name);
        self.0.push(b'=');
    }

    fn message(&mut self, value: Value<'_>) {
        self.0.push(b' ');
        match value {
            Value::Text(text) => bare(self.0, text),
            Value::Made(text) => {
                // As in JSON.
                let _ = write!(Escaping(self.0), "{text:?}");
            }
            other => self.value(other),
        }
    }

    fn value(&mut self, value: Value<'_>) {
        match value {
            Value::Bool(true) => self.0.extend_from_slice(b"true"),
            Value::Bool(false) => self.0.extend_from_slice(b"false"),
            Value::Signed(number) => signed(self.0, number),
            Value::Unsigned(number) => decimal(self.0, number),
            Value::Double(number) => {
                // Writing to a `Vec` does not fail.
                let _ = write!(self.0, "{number:?}");
            }
            Value::Text(text) => value_text(self.0, text),
            Value::Bytes(bytes) => hex(self.0, bytes),
            Value::Made(text) => value_text(self.0, &format!("{text:?}")),
        }
    }
}

impl Form for Line<'_> {
    fn head(&mut self, now: SystemTime, level: &'static str, target: &str) {
        timestamp::write(self.0, now);
        self.0.push(b' ');
        self.0.extend_from_slice(level.as_bytes());
        self.0.push(b' ');
        bare(self.0, target);
        self.0.push(b':');
    }

    fn span(&mut self, trace_id: TraceId, span_id: SpanId) {
        self.key(key::TRACE_ID);
        hex(self.0, &trace_id.to_bytes());
        self.key(key::SPAN_ID);
        hex(self.0, &span_id.to_bytes());
    }

    fn id(&mut self, key: &str, id: &str) {
        self.key(key);
        value_text(self.0, id);
    }

    fn end(&mut self) {
        self.0.push(b'\n');
    }
}

impl FieldWriter for Line<'_> {
    fn is_reserved(key: &str) -> bool {
        key::is_reserved(key)
    }

    fn put(&mut self, key: &str, value: Value<'_>) {
        if key == MESSAGE {
            return self.message(value);
        }
        self.key(key);
        self.value(value);
    }
}

/// Writes a value so that its end can be told: in quotes, unless it is one word.
fn value_text(out: &mut Vec<u8>, text: &str) {
    let is_in_words = |character: char| match character {
        '"' | '=' | '\\' => false,
        other => other.is_ascii_graphic() || other.is_alphanumeric(),
    };
    if !text.is_empty() && text.chars().all(is_in_words) {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            out.push(b'\\');
        }
        put(out, character);
    }
    out.push(b'"');
}

/// Writes text without quotes, in which no character begins a new line or commands a terminal.
fn bare(out: &mut Vec<u8>, text: &str) {
    let is_plain = |byte: u8| (b' '..=b'~').contains(&byte);
    if text.bytes().all(is_plain) {
        return out.extend_from_slice(text.as_bytes());
    }
    text.chars().for_each(|character| put(out, character));
}

fn put(out: &mut Vec<u8>, character: char) {
    if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
        // Writing to a `Vec` does not fail.
        let _ = write!(out, "{}", character.escape_default());
    } else {
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// Writes bare text.
struct Escaping<'a>(&'a mut Vec<u8>);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        bare(self.0, text);
        Ok(())
    }
}
