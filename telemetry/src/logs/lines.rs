//! Events as lines.

mod json;
mod text;

use super::fields::{self, FieldWriter, Value};
use super::{scratch, timestamp};
use crate::config::LogFormat;
use crate::request_id;
use opentelemetry::Context;
use opentelemetry::trace::{SpanId, TraceContextExt as _, TraceId};
use std::io::Write as _;
use std::time::SystemTime;
use tracing::Event;

/// What a line calls what it knows besides the event's own fields.
mod key {
    pub(super) const TIMESTAMP: &str = "timestamp";
    pub(super) const LEVEL: &str = "level";
    pub(super) const TARGET: &str = "target";
    pub(super) const TRACE_ID: &str = "trace_id";
    pub(super) const SPAN_ID: &str = "span_id";
    /// As Lambda's own lines and its managed runtimes call it.
    pub(super) const REQUEST_ID: &str = "requestId";

    /// Goes before the name of a field that would be taken for one of these.
    pub(super) const FIELD_PREFIX: &str = "field.";

    pub(super) fn is_taken(name: &str) -> bool {
        [TIMESTAMP, LEVEL, TARGET, TRACE_ID, SPAN_ID, REQUEST_ID].contains(&name)
    }
}

/// Writes a line with its end to stdout, all at once: lines of several threads, or of several processes, do not get into each other.
pub(super) fn to_stdout(line: &[u8]) {
    // A log that nobody can read is no reason to fail.
    let _ = std::io::stdout().lock().write_all(line);
}

/// Has `write` write an event down as one line, end included.
pub(super) fn write(
    event: &Event<'_>,
    now: SystemTime,
    format: LogFormat,
    write: impl FnOnce(&[u8]),
) {
    scratch::with(|out| {
        match format {
            LogFormat::Json => line(&mut json::Line::begin(out), event, now),
            LogFormat::Text => line(&mut text::Line::begin(out), event, now),
        }
        write(out);
    });
}

/// A line of some form, piece by piece.
trait Form: FieldWriter {
    fn head(&mut self, now: SystemTime, level: &'static str, target: &str);

    fn span(&mut self, trace_id: TraceId, span_id: SpanId);

    fn request_id(&mut self, id: &str);

    fn end(&mut self);
}

fn line(form: &mut impl Form, event: &Event<'_>, now: SystemTime) {
    let metadata = event.metadata();
    form.head(now, metadata.level().as_str(), metadata.target());
    // Not while the context is looked at: a field's text may be made by code that attaches another one.
    fields::write(event, form);
    Context::map_current(|context| {
        let span = context.span();
        let span = span.span_context();
        if span.is_valid() {
            form.span(span.trace_id(), span.span_id());
        }
        if let Some(id) = request_id::of(context) {
            form.request_id(id);
        }
    });
    form.end();
}

/// Lower-case hexadecimal digits of an id.
fn hex(out: &mut Vec<u8>, id: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend(id.iter().flat_map(|byte| {
        [
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 0xf)],
        ]
    }));
}

fn decimal(out: &mut Vec<u8>, mut number: u64) {
    /// `u64::MAX` has so many digits.
    const MOST: usize = 20;
    let mut digits = [0; MOST];
    let mut first = MOST;
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

fn signed(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    decimal(out, number.unsigned_abs());
}
