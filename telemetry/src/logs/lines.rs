//! Log lines of events.

use std::time::SystemTime;

use opentelemetry::trace::{SpanId, TraceId};
use tracing::Event;

use super::correlation::ContextIds;
use super::fields::{self, FieldWriter};
use super::span_fields::{SpanScope, event_ids};
use super::timestamp;
use crate::config::LogFormat;
use crate::otlp::encode::LogValue;
use crate::output::Output;
use crate::scratch;

mod json;
mod text;

/// Keys of a line other than those of fields.
mod key {
    pub(super) const TIMESTAMP: &str = "timestamp";
    pub(super) const LEVEL: &str = "level";
    pub(super) const TARGET: &str = "target";
    pub(super) const TRACE_ID: &str = "trace_id";
    pub(super) const SPAN_ID: &str = "span_id";
    /// Key of the request id, as in Lambda's own lines and those of its managed runtimes.
    pub(super) const REQUEST_ID: &str = "requestId";
    /// Key of the message id, as in the SQS event.
    pub(super) const MESSAGE_ID: &str = "messageId";

    /// Returns `true` if a field with this name would collide with one of these keys.
    pub(super) fn is_reserved(name: &str) -> bool {
        matches!(
            name,
            TIMESTAMP | LEVEL | TARGET | TRACE_ID | SPAN_ID | REQUEST_ID | MESSAGE_ID
        )
    }
}

/// Writes an event as one line with a single write, so that lines of several threads or processes
/// do not mix.
pub(super) fn write(
    event: &Event<'_>,
    spans: &dyn SpanScope,
    now: SystemTime,
    format: LogFormat,
    output: &Output,
) {
    scratch::with(|line| {
        match format {
            LogFormat::Json => compose(&mut json::JsonLine::begin(line), event, spans, now),
            LogFormat::Text => compose(&mut text::TextLine::begin(line), event, spans, now),
        }
        // A log that cannot be written must not fail the program.
        let _ = output.write(|out| out.write_all(line));
    });
}

/// Writer of a line in one of the formats.
trait LineFormat: FieldWriter {
    fn head(&mut self, now: SystemTime, level: &'static str, target: &str);

    fn span(&mut self, trace_id: TraceId, span_id: SpanId);

    fn id(&mut self, key: &str, id: &str);

    fn end(&mut self);
}

fn compose(form: &mut impl LineFormat, event: &Event<'_>, spans: &dyn SpanScope, now: SystemTime) {
    let metadata = event.metadata();
    form.head(now, metadata.level().as_str(), metadata.target());
    let ContextIds { span, correlation } = event_ids(event, spans);
    fields::write(event, spans, &correlation, form);
    if span.is_valid() {
        form.span(span.trace_id(), span.span_id());
    }
    if let Some(id) = correlation.request_id {
        form.id(key::REQUEST_ID, &id);
    }
    if let Some(id) = correlation.message_id {
        form.id(key::MESSAGE_ID, &id);
    }
    form.end();
}

fn decimal(out: &mut Vec<u8>, mut number: u64) {
    /// Number of digits of `u64::MAX`.
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

#[cfg(test)]
mod tests;
