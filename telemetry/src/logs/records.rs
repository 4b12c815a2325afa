//! Events as log records of OTLP, into a buffer.

use std::time::SystemTime;

use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_semantic_conventions::attribute::{FAAS_INVOCATION_ID, MESSAGING_MESSAGE_ID};
use tracing::Event;

use super::fields::{self, FieldWriter, MESSAGE, Value};
use super::ids::Ids;
use super::span_fields::SpanScope;
use super::{filter, scratch};
use crate::buffer::{Buffer, Group, Owner, Record};
use crate::otlp::encode::{self, LogRecord};

/// A record that is larger is written again without its attributes: one with very many long ones
/// may be more than a request takes.
const MAX_RECORD: usize = 1024 * 1024;
/// What `tracing` begins an event's name with where the program gives it none. The rest is a place
/// in the source.
const UNNAMED: &str = "event ";

/// Adds an event to the buffer, unless it must not be [exported](filter::is_exported).
pub(super) fn push(buffer: &Buffer, event: &Event<'_>, spans: &dyn SpanScope, now: SystemTime) {
    let metadata = event.metadata();
    if !filter::is_exported(metadata) || Context::is_current_telemetry_suppressed() {
        return;
    }
    scratch::with(|out| {
        // Before the buffer is locked: a field's text may be made by code that logs something
        // itself.
        let owner = encode(out, event, spans, now, Attributes::Keep);
        if out.len() > MAX_RECORD {
            out.clear();
            encode(out, event, spans, now, Attributes::Leave);
        }
        let scope = InstrumentationScope::builder(metadata.target()).build();
        buffer.push(&Encoded(out), &scope, owner);
    });
}

/// A record that is written already.
struct Encoded<'a>(&'a [u8]);

impl Record for Encoded<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }

    /// It is short enough, see [`MAX_RECORD`].
    fn encode_shortened(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attributes {
    Keep,
    Leave,
}

/// Writes the record of an event that happens in the active context, and returns that context's
/// group.
fn encode(
    out: &mut Vec<u8>,
    event: &Event<'_>,
    spans: &dyn SpanScope,
    now: SystemTime,
    attributes: Attributes,
) -> Owner {
    let metadata = event.metadata();
    encode::log_record(out, |record| {
        record.time(encode::nanos(now));
        record.severity(metadata.level());
        let name = metadata.name();
        if !name.starts_with(UNNAMED) {
            record.event_name(name);
        }
        let mut writer = Writer {
            record,
            attributes,
            has_invocation_id: false,
            has_message_id: false,
            dropped: 0,
        };
        fields::write(event, spans, &mut writer);
        let Writer {
            record,
            has_invocation_id,
            has_message_id,
            dropped,
            ..
        } = writer;
        record.dropped_attributes(dropped);
        let Ids { span, correlation } = Ids::for_event(event, spans);
        if span.is_valid() {
            record.span(&span);
        }
        if let Some(id) = correlation.request_id.filter(|_| !has_invocation_id) {
            record.attribute(FAAS_INVOCATION_ID, Value::Text(&id));
        }
        if let Some(id) = correlation.message_id.filter(|_| !has_message_id) {
            record.attribute(MESSAGING_MESSAGE_ID, Value::Text(&id));
        }
        Context::map_current(|context| Group::from_context(context).cloned())
    })
}

struct Writer<'a, 'b> {
    record: &'a mut LogRecord<'b>,
    attributes: Attributes,
    /// The event names the invocation itself.
    has_invocation_id: bool,
    /// `true` if the event has an attribute with a message id.
    has_message_id: bool,
    dropped: u32,
}

impl FieldWriter for Writer<'_, '_> {
    /// The event may already have the invocation and message ids as fields.
    fn is_reserved(_: &str) -> bool {
        false
    }

    fn is_reserved_from_spans(key: &str) -> bool {
        [MESSAGE, FAAS_INVOCATION_ID, MESSAGING_MESSAGE_ID].contains(&key)
    }

    fn put(&mut self, key: &str, value: Value<'_>) {
        if key == MESSAGE {
            return self.record.body(value);
        }
        if self.attributes == Attributes::Leave {
            self.dropped += 1;
            return;
        }
        self.has_invocation_id |= key == FAAS_INVOCATION_ID;
        self.has_message_id |= key == MESSAGING_MESSAGE_ID;
        self.record.attribute(key, value);
    }
}
