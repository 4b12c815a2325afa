//! Events as log records of OTLP, into a buffer.

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_semantic_conventions::attribute::{FAAS_INVOCATION_ID, MESSAGING_MESSAGE_ID};
use tracing::Event;

use super::fields::{self, FieldWriter, MESSAGE, Value};
use super::span_fields::SpanScope;
use super::{filter, scratch};
use crate::buffer::{Buffer, Owner, Record};
use crate::correlation::Correlation;
use crate::encode::{self, LogRecord};
use crate::group::Group;

/// A record that is larger is written again without its attributes: one with very many long ones may be more than a request takes.
const MAX_RECORD: usize = 1024 * 1024;
/// What `tracing` begins an event's name with where the program gives it none. The rest is a place in the source.
const UNNAMED: &str = "event ";

/// Adds an event to the buffer, unless it must not be [exported](filter::is_exported).
pub(super) fn push(buffer: &Buffer, event: &Event<'_>, spans: &dyn SpanScope, now: SystemTime) {
    let metadata = event.metadata();
    if !filter::is_exported(metadata) || Context::is_current_telemetry_suppressed() {
        return;
    }
    scratch::with(|out| {
        // Before the buffer is locked: a field's text may be made by code that logs something itself.
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

/// Writes the record of an event that happens in the active context, and returns that context's group.
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
        // After the fields, and not around them: their texts may be made by code that attaches another context.
        Context::map_current(|context| {
            let span = context.span();
            if span.span_context().is_valid() {
                record.span(span.span_context());
            }
            if let Some(correlation) = context.get::<Correlation>() {
                let mut id = |key: &str, id: &Option<Arc<str>>, is_there: bool| {
                    if let Some(id) = id.as_deref().filter(|_| !is_there) {
                        record.attribute(key, Value::Text(id));
                    }
                };
                id(
                    FAAS_INVOCATION_ID,
                    &correlation.request_id,
                    has_invocation_id,
                );
                id(
                    MESSAGING_MESSAGE_ID,
                    &correlation.message_id,
                    has_message_id,
                );
            }
            Group::of(context).cloned()
        })
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
