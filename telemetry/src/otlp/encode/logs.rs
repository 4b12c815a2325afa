//! Encoding of log records as OTLP protobuf, directly from the logged values.

use std::fmt::{self, Write as _};

use opentelemetry::trace::SpanContext;
use tracing::Level;

use super::field::log;
use super::{field, short_text, wire};

/// Maximum length of a text: four times what a backend shows, and more than CloudWatch accepts for
/// a whole line.
const MAX_TEXT: usize = 256 * 1024;

/// The value of a log record's body or attribute.
#[derive(Clone, Copy)]
pub(crate) enum LogValue<'a> {
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Double(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// A value that the program's own code formats. That code may log, so no lock may be held
    /// meanwhile.
    Debug(&'a dyn fmt::Debug),
}

/// Writes the fields of one record.
pub(crate) struct LogRecordEncoder<'a>(&'a mut Vec<u8>);

/// Writes one log record as a field of a `ScopeLogs`.
pub(crate) fn log_record<T>(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut LogRecordEncoder<'_>) -> T,
) -> T {
    wire::nested(out, log::SCOPE_LOGS_RECORDS, |out| {
        write(&mut LogRecordEncoder(out))
    })
}

impl LogRecordEncoder<'_> {
    /// Writes both times of the record: an event is observed when it happens.
    pub(crate) fn time(&mut self, nanos: u64) {
        wire::fixed64(self.0, log::TIME, nanos);
        wire::fixed64(self.0, log::OBSERVED_TIME, nanos);
    }

    pub(crate) fn severity(&mut self, level: &Level) {
        wire::unsigned(self.0, log::SEVERITY_NUMBER, severity_number(level));
        wire::string(self.0, log::SEVERITY_TEXT, level.as_str());
    }

    pub(crate) fn event_name(&mut self, name: &str) {
        wire::string(self.0, log::EVENT_NAME, name);
    }

    pub(crate) fn body(&mut self, value: LogValue<'_>) {
        any_value(self.0, log::BODY, value);
    }

    pub(crate) fn attribute(&mut self, key: &str, value: LogValue<'_>) {
        if let LogValue::Text(text) = value
            && short_text(self.0, log::ATTRIBUTES, key, text)
        {
            return;
        }
        wire::nested(self.0, log::ATTRIBUTES, |out| {
            wire::string(out, field::KEY, key);
            any_value(out, field::VALUE, value);
        });
    }

    pub(crate) fn dropped_attributes(&mut self, count: u32) {
        wire::unsigned(self.0, log::DROPPED_ATTRIBUTES, u64::from(count));
    }

    pub(crate) fn span(&mut self, span: &SpanContext) {
        wire::array(self.0, log::TRACE_ID, span.trace_id().to_bytes());
        wire::array(self.0, log::SPAN_ID, span.span_id().to_bytes());
        let flags = u32::from(span.trace_flags().to_u8());
        wire::fixed32(self.0, log::FLAGS, flags);
    }
}

/// Returns the `SeverityNumber` of a level: the lowest of its four, as the logs data model
/// prescribes for levels that are not divided further.
fn severity_number(level: &Level) -> u64 {
    match *level {
        Level::TRACE => 1,
        Level::DEBUG => 5,
        Level::INFO => 9,
        Level::WARN => 13,
        Level::ERROR => 17,
    }
}

fn any_value(out: &mut Vec<u8>, field: u32, value: LogValue<'_>) {
    wire::nested(out, field, |out| match value {
        LogValue::Bool(value) => wire::varint_field(out, field::VALUE_BOOL, u64::from(value)),
        LogValue::Signed(number) => integer(out, number),
        // OTLP has signed integers only.
        LogValue::Unsigned(number) => match i64::try_from(number) {
            Ok(number) => integer(out, number),
            Err(_) => debug_text(out, &number),
        },
        LogValue::Double(number) => {
            wire::fixed64_always(out, field::VALUE_DOUBLE, number.to_bits());
        }
        LogValue::Text(text) => {
            let end = text.floor_char_boundary(MAX_TEXT);
            wire::bytes_always(out, field::VALUE_STRING, &text.as_bytes()[..end]);
        }
        LogValue::Bytes(bytes) => {
            let end = bytes.len().min(MAX_TEXT);
            wire::bytes_always(out, log::VALUE_BYTES, &bytes[..end]);
        }
        LogValue::Debug(text) => debug_text(out, text),
    });
}

fn integer(out: &mut Vec<u8>, number: i64) {
    wire::varint_field(out, field::VALUE_INT, number.cast_unsigned());
}

fn debug_text(out: &mut Vec<u8>, text: &dyn fmt::Debug) {
    wire::nested(out, field::VALUE_STRING, |out| {
        let remaining = MAX_TEXT;
        // Ignored: an error comes from the value's own `Debug` or from the truncation. The text so
        // far is kept.
        let _ = write!(TruncatingWriter { out, remaining }, "{text:?}");
    });
}

/// Writes at most `remaining` bytes of text, and only complete characters.
struct TruncatingWriter<'a> {
    out: &'a mut Vec<u8>,
    remaining: usize,
}

impl fmt::Write for TruncatingWriter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = text.floor_char_boundary(self.remaining);
        self.out.extend_from_slice(&text.as_bytes()[..end]);
        self.remaining -= end;
        if end == text.len() {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

#[cfg(test)]
mod tests;
