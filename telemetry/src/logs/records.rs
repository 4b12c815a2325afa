//! OTLP log records of events, in a buffer.

use std::time::SystemTime;

use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_semantic_conventions::attribute::{FAAS_INVOCATION_ID, MESSAGING_MESSAGE_ID};
use tracing::Event;

use super::correlation::ContextIds;
use super::fields::{self, FieldWriter, MESSAGE};
use super::filter;
use super::span_fields::{SpanScope, event_ids};
use crate::buffer::{Buffer, Group, RecordGroup};
use crate::otlp::encode::{self, LogRecordEncoder, LogValue};
use crate::scratch;

/// Maximum length of a record. A longer one is encoded again without its attributes, because it may
/// exceed the limit of a request.
const MAX_RECORD: usize = 1024 * 1024;
/// Prefix of the name that `tracing` gives to an event without one. A source location follows it.
const UNNAMED: &str = "event ";

/// Adds an event to the buffer, unless it must not be [exported](filter::is_exported).
pub(super) fn push(buffer: &Buffer, event: &Event<'_>, spans: &dyn SpanScope, now: SystemTime) {
    let metadata = event.metadata();
    if !filter::is_exported(metadata) || Context::is_current_telemetry_suppressed() {
        return;
    }
    scratch::with(|out| {
        // Encoded before the buffer is locked, because the code that formats a field may log.
        let group = encode(out, event, spans, now, AttributeMode::Include);
        if out.len() > MAX_RECORD {
            out.clear();
            encode(out, event, spans, now, AttributeMode::Omit);
        }
        let scope = InstrumentationScope::builder(metadata.target()).build();
        buffer.push(out, &scope, group);
    });
}

/// Inclusion of the attributes. A record that is too long is encoded without them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AttributeMode {
    Include,
    Omit,
}

/// Encodes the record of an event, and returns the group of the active context.
fn encode(
    out: &mut Vec<u8>,
    event: &Event<'_>,
    spans: &dyn SpanScope,
    now: SystemTime,
    attribute_mode: AttributeMode,
) -> RecordGroup {
    let metadata = event.metadata();
    encode::log_record(out, |record| {
        record.time(encode::nanos(now));
        record.severity(metadata.level());
        let name = metadata.name();
        if !name.starts_with(UNNAMED) {
            record.event_name(name);
        }
        let mut writer = RecordWriter {
            record,
            attribute_mode,
            has_invocation_id: false,
            has_message_id: false,
            dropped: 0,
        };
        let ContextIds { span, correlation } = event_ids(event, spans);
        fields::write(event, spans, &correlation, &mut writer);
        let RecordWriter {
            record,
            has_invocation_id,
            has_message_id,
            dropped,
            ..
        } = writer;
        record.dropped_attributes(dropped);
        if span.is_valid() {
            record.span(&span);
        }
        if let Some(id) = correlation.request_id.filter(|_| !has_invocation_id) {
            record.attribute(FAAS_INVOCATION_ID, LogValue::Text(&id));
        }
        if let Some(id) = correlation.message_id.filter(|_| !has_message_id) {
            record.attribute(MESSAGING_MESSAGE_ID, LogValue::Text(&id));
        }
        Context::map_current(|context| Group::from_context(context).cloned())
    })
}

struct RecordWriter<'a, 'b> {
    record: &'a mut LogRecordEncoder<'b>,
    attribute_mode: AttributeMode,
    /// `true` if the event has an attribute with an invocation id.
    has_invocation_id: bool,
    /// `true` if the event has an attribute with a message id.
    has_message_id: bool,
    dropped: u32,
}

impl FieldWriter for RecordWriter<'_, '_> {
    /// The event may already have the invocation and message ids as fields.
    fn is_reserved(_: &str) -> bool {
        false
    }

    fn is_reserved_from_spans(key: &str) -> bool {
        [MESSAGE, FAAS_INVOCATION_ID, MESSAGING_MESSAGE_ID].contains(&key)
    }

    fn put(&mut self, key: &str, value: LogValue<'_>) {
        if key == MESSAGE {
            return self.record.body(value);
        }
        if self.attribute_mode == AttributeMode::Omit {
            self.dropped += 1;
            return;
        }
        self.has_invocation_id |= key == FAAS_INVOCATION_ID;
        self.has_message_id |= key == MESSAGING_MESSAGE_ID;
        self.record.attribute(key, value);
    }
}
