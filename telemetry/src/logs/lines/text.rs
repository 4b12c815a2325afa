//! Lines in text: `TIMESTAMP LEVEL TARGET: MESSAGE FIELD=VALUE… trace_id=… span_id=… requestId=…
//! messageId=…`.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::time::SystemTime;

use opentelemetry::trace::{SpanId, TraceId};

use super::fields::MESSAGE;
use super::{FieldWriter, LineFormat, LogValue, decimal, key, signed, timestamp};
use crate::hex;

pub(super) struct TextLine<'a>(&'a mut Vec<u8>);

impl<'a> TextLine<'a> {
    pub(super) fn begin(out: &'a mut Vec<u8>) -> Self {
        Self(out)
    }

    fn key(&mut self, name: &str) {
        self.0.push(b' ');
        write_unquoted(self.0, name);
        self.0.push(b'=');
    }

    fn message(&mut self, value: LogValue<'_>) {
        self.0.push(b' ');
        match value {
            LogValue::Text(text) => write_unquoted(self.0, text),
            LogValue::Debug(text) => {
                // Only the formatting code of the value can fail. Its output so far is kept.
                let _ = write!(UnquotedWriter(self.0), "{text:?}");
            }
            other => self.value(other),
        }
    }

    fn value(&mut self, value: LogValue<'_>) {
        match value {
            LogValue::Bool(true) => self.0.extend_from_slice(b"true"),
            LogValue::Bool(false) => self.0.extend_from_slice(b"false"),
            LogValue::Signed(number) => signed(self.0, number),
            LogValue::Unsigned(number) => decimal(self.0, number),
            LogValue::Double(number) => {
                // Writing to a `Vec` cannot fail.
                let _ = write!(self.0, "{number:?}");
            }
            LogValue::Text(text) => value_text(self.0, text),
            LogValue::Bytes(bytes) => hex::encode(self.0, bytes),
            LogValue::Debug(text) => value_text(self.0, &format!("{text:?}")),
        }
    }
}

impl LineFormat for TextLine<'_> {
    fn head(&mut self, now: SystemTime, level: &'static str, target: &str) {
        timestamp::write(self.0, now);
        self.0.push(b' ');
        self.0.extend_from_slice(level.as_bytes());
        self.0.push(b' ');
        write_unquoted(self.0, target);
        self.0.push(b':');
    }

    fn span(&mut self, trace_id: TraceId, span_id: SpanId) {
        self.key(key::TRACE_ID);
        hex::encode(self.0, &trace_id.to_bytes());
        self.key(key::SPAN_ID);
        hex::encode(self.0, &span_id.to_bytes());
    }

    fn id(&mut self, key: &str, id: &str) {
        self.key(key);
        value_text(self.0, id);
    }

    fn end(&mut self) {
        self.0.push(b'\n');
    }
}

impl FieldWriter for TextLine<'_> {
    fn is_reserved(key: &str) -> bool {
        key::is_reserved(key)
    }

    fn put(&mut self, key: &str, value: LogValue<'_>) {
        if key == MESSAGE {
            return self.message(value);
        }
        self.key(key);
        self.value(value);
    }
}

/// Writes a value, in quotes unless it is a single word.
fn value_text(out: &mut Vec<u8>, text: &str) {
    let is_word_character = |character: char| match character {
        '"' | '=' | '\\' => false,
        other => other.is_ascii_graphic() || other.is_alphanumeric(),
    };
    if !text.is_empty() && text.chars().all(is_word_character) {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            out.push(b'\\');
        }
        write_character(out, character);
    }
    out.push(b'"');
}

/// Writes text without quotes. Line breaks and control characters, which a terminal would execute,
/// are escaped.
fn write_unquoted(out: &mut Vec<u8>, text: &str) {
    let is_plain = |byte: u8| (b' '..=b'~').contains(&byte);
    if text.bytes().all(is_plain) {
        return out.extend_from_slice(text.as_bytes());
    }
    text.chars()
        .for_each(|character| write_character(out, character));
}

fn write_character(out: &mut Vec<u8>, character: char) {
    if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
        // Writing to a `Vec` cannot fail.
        let _ = write!(out, "{}", character.escape_default());
    } else {
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// Writer for text without quotes.
struct UnquotedWriter<'a>(&'a mut Vec<u8>);

impl fmt::Write for UnquotedWriter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_unquoted(self.0, text);
        Ok(())
    }
}
