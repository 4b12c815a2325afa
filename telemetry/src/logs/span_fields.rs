//! Fields of a span, stored for the lines that are logged in it.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use tracing::field::Field;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::correlation::{ContextIds, Correlation};
use super::visitor::LogValueVisitor;
use crate::otlp::encode::LogValue;

/// Maximum length of a stored string. Each line in the span repeats it, and a function instrumented
/// without `skip` records whole arguments.
const MAX_TEXT: usize = 4096;
/// Suffix of a truncated string.
const ELLIPSIS: char = '…';

/// Ids and fields of one span. The fields are in the order in which they were recorded.
pub(super) struct SpanFields {
    /// Ids that were active when the span was created.
    ids: ContextIds,
    fields: Vec<(Field, OwnedValue)>,
}

/// A value that does not borrow from the program.
enum OwnedValue {
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
}

impl SpanFields {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, LogValue<'_>)> {
        let fields = self.fields.iter();
        fields.map(|(field, kept)| (field.name(), kept.value()))
    }

    /// Returns `false` if the line is logged for a different message from the one that the span was
    /// created for. A span whose guard is held across an `await` stays entered while the thread
    /// handles other messages.
    pub(super) fn may_contain(&self, line: &Correlation) -> bool {
        match (&self.ids.correlation.message_id, &line.message_id) {
            (Some(span), Some(line)) => Arc::ptr_eq(span, line),
            _ => true,
        }
    }

    fn set(&mut self, field: Field, value: OwnedValue) {
        let known = self.fields.iter_mut().find(|(known, _)| *known == field);
        match known {
            Some((_, kept)) => *kept = value,
            None => self.fields.push((field, value)),
        }
    }
}

/// Spans around an event. A trait object, so that the code that writes lines is not generic over
/// the subscriber.
pub(super) trait SpanScope {
    /// Calls `visit` with the fields of each span around the event, from the innermost outwards.
    fn for_each(&self, event: &Event<'_>, visit: &mut dyn FnMut(&SpanFields));
}

impl<S> SpanScope for Context<'_, S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn for_each(&self, event: &Event<'_>, visit: &mut dyn FnMut(&SpanFields)) {
        for span in self.event_scope(event).into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<SpanFields>() {
                visit(fields);
            }
        }
    }
}

/// Returns the ids for an event: those of the active context or, if it has none, those of the
/// innermost `tracing` span that has any.
///
/// A task spawned with `.in_current_span()` enters the span again, but does not attach the context
/// in which the span was created.
pub(super) fn event_ids(event: &Event<'_>, spans: &dyn SpanScope) -> ContextIds {
    let mut ids = ContextIds::current();
    if ids.is_empty() {
        spans.for_each(event, &mut |span| {
            if ids.is_empty() {
                ids.clone_from(&span.ids);
            }
        });
    }
    ids
}

/// Stores the fields and the ids of a new span.
pub(super) fn on_new_span<S>(attributes: &Attributes<'_>, id: &Id, context: &Context<'_, S>)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let ids = ContextIds::current();
    if attributes.fields().is_empty() && ids.is_empty() {
        return;
    }
    let fields = owned_values(|visitor| attributes.record(visitor));
    if let Some(span) = context.span(id) {
        // Not `insert`, which panics if the program added the layer twice.
        span.extensions_mut().replace(SpanFields { ids, fields });
    }
}

/// Stores values that a span records later.
pub(super) fn on_record<S>(id: &Id, values: &Record<'_>, context: &Context<'_, S>)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let values = owned_values(|visitor| values.record(visitor));
    if let Some(span) = context.span(id)
        && let Some(fields) = span.extensions_mut().get_mut::<SpanFields>()
    {
        for (field, value) in values {
            fields.set(field, value);
        }
    }
}

/// Copies the values before the span is locked, because `Debug` and `Display` run the program's
/// code, which may log.
fn owned_values(record: impl FnOnce(&mut dyn tracing::field::Visit)) -> Vec<(Field, OwnedValue)> {
    let mut fields = Vec::new();
    let mut visitor = LogValueVisitor(|field: &Field, value: LogValue<'_>| {
        fields.push((field.clone(), OwnedValue::from(value)));
    });
    record(&mut visitor);
    fields
}

impl OwnedValue {
    fn value(&self) -> LogValue<'_> {
        match self {
            Self::Bool(value) => LogValue::Bool(*value),
            Self::Signed(number) => LogValue::Signed(*number),
            Self::Unsigned(number) => LogValue::Unsigned(*number),
            Self::Double(number) => LogValue::Double(*number),
            Self::Text(text) => LogValue::Text(text),
            Self::Bytes(bytes) => LogValue::Bytes(bytes),
        }
    }
}

impl From<LogValue<'_>> for OwnedValue {
    fn from(value: LogValue<'_>) -> Self {
        match value {
            LogValue::Bool(value) => Self::Bool(value),
            LogValue::Signed(number) => Self::Signed(number),
            LogValue::Unsigned(number) => Self::Unsigned(number),
            LogValue::Double(number) => Self::Double(number),
            LogValue::Bytes(bytes) => Self::Bytes(bytes[..bytes.len().min(MAX_TEXT)].to_vec()),
            LogValue::Text(text) => Self::Text(truncated(|out| out.write_str(text))),
            LogValue::Debug(text) => Self::Text(truncated(|out| write!(out, "{text:?}"))),
        }
    }
}

fn truncated(write: impl FnOnce(&mut TruncatingWriter) -> fmt::Result) -> String {
    let mut writer = TruncatingWriter::default();
    // An error means that the formatting code failed or the string was truncated. The text written
    // so far is kept.
    let _ = write(&mut writer);
    writer.text
}

/// Writer that keeps the first [`MAX_TEXT`] bytes.
#[derive(Default)]
struct TruncatingWriter {
    text: String,
    is_truncated: bool,
}

impl fmt::Write for TruncatingWriter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.is_truncated {
            return Err(fmt::Error);
        }
        let room = MAX_TEXT - self.text.len();
        if text.len() <= room {
            self.text.push_str(text);
            return Ok(());
        }
        self.is_truncated = true;
        self.text.push_str(&text[..text.floor_char_boundary(room)]);
        self.text.push(ELLIPSIS);
        Err(fmt::Error)
    }
}
