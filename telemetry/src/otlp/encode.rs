//! Encoding of spans as OTLP protobuf, directly from the types of the SDK.
//!
//! `opentelemetry-proto` first converts each span into a tree of owned messages, which costs more
//! than all other telemetry of a message. A test compares every field with its conversion of the
//! same span.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use opentelemetry::trace::{Event, Link, SpanContext, SpanId, SpanKind, Status, TraceState};
use opentelemetry::{Array, InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;

use super::{field, protobuf as wire};

mod logs;
pub(crate) mod metrics;

pub(crate) use logs::{LogRecordEncoder, LogValue, log_record};

/// Inclusion of the trace state of links. A span with very many links has no room for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkState {
    Include,
    Omit,
}

/// The fields of a `ResourceSpans` before and after its `ScopeSpans`.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResourceFrame {
    pub(crate) head: Vec<u8>,
    pub(crate) tail: Bytes,
}

/// Encodes a resource.
pub(crate) fn resource(resource: &Resource) -> ResourceFrame {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    wire::nested(&mut head, field::RESOURCE_SPANS_RESOURCE, |out| {
        for (key, value) in resource {
            key_value(out, field::RESOURCE_ATTRIBUTES, key.as_str(), value);
        }
    });
    if let Some(url) = resource.schema_url() {
        wire::string(&mut tail, field::RESOURCE_SPANS_SCHEMA_URL, url);
    }
    ResourceFrame {
        head,
        tail: tail.into(),
    }
}

/// Returns the start of a request, up to the first `ScopeSpans`. `length` is the length of all
/// `ScopeSpans`, including their tags and lengths.
pub(crate) fn open_request(resource: &ResourceFrame, length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(resource.head.len() + 2 * wire::MAX_HEADER);
    let whole = resource.head.len() + length + resource.tail.len();
    wire::length_prefix(&mut out, field::REQUEST_RESOURCE_SPANS, whole);
    out.extend_from_slice(&resource.head);
    out
}

/// Writes the start of a `ScopeSpans` whose scope and spans have this length.
pub(crate) fn open_scope_spans(out: &mut Vec<u8>, length: usize) {
    wire::length_prefix(out, field::RESOURCE_SPANS_SCOPE_SPANS, length);
}

/// Returns the length of a `ScopeSpans` whose scope and spans have this length.
pub(crate) fn scope_spans_length(length: usize) -> usize {
    wire::field_length(field::RESOURCE_SPANS_SCOPE_SPANS, length)
}

/// Writes a scope as the first fields of a `ScopeSpans`.
pub(crate) fn scope(out: &mut Vec<u8>, scope: &InstrumentationScope) {
    wire::nested(out, field::SCOPE_SPANS_SCOPE, |out| {
        wire::string(out, field::SCOPE_NAME, scope.name());
        wire::string(out, field::SCOPE_VERSION, scope.version().unwrap_or(""));
        for attribute in scope.attributes() {
            let (key, value) = (attribute.key.as_str(), &attribute.value);
            key_value(out, field::SCOPE_ATTRIBUTES, key, value);
        }
    });
    let url = scope.schema_url().unwrap_or("");
    wire::string(out, field::SCOPE_SPANS_SCHEMA_URL, url);
}

/// Writes a finished span as a field of a `ScopeSpans`.
pub(crate) fn span(out: &mut Vec<u8>, span: &SpanData, link_state: LinkState) {
    wire::nested(out, field::SCOPE_SPANS_SPANS, |out| {
        let context = &span.span_context;
        identity(out, context);
        trace_state(out, field::SPAN_TRACE_STATE, context.trace_state());
        if span.parent_span_id != SpanId::INVALID {
            let parent = span.parent_span_id.to_bytes();
            wire::array(out, field::SPAN_PARENT_SPAN_ID, parent);
        }
        let flags = flags(context, span.parent_span_is_remote);
        wire::fixed32(out, field::SPAN_FLAGS, flags);
        wire::string(out, field::SPAN_NAME, &span.name);
        wire::unsigned(out, field::SPAN_KIND, kind(&span.span_kind));
        wire::fixed64(out, field::SPAN_START, nanos(span.start_time));
        wire::fixed64(out, field::SPAN_END, nanos(span.end_time));
        attributes(out, field::SPAN_ATTRIBUTES, &span.attributes);
        count(
            out,
            field::SPAN_DROPPED_ATTRIBUTES,
            span.dropped_attributes_count,
        );
        for event in span.events.iter() {
            self::event(out, event);
        }
        count(out, field::SPAN_DROPPED_EVENTS, span.events.dropped_count);
        for link in span.links.iter() {
            self::link(out, link, link_state);
        }
        count(out, field::SPAN_DROPPED_LINKS, span.links.dropped_count);
        status(out, &span.status);
    });
}

/// Writes trace id and span id, which have the same field numbers in a span and in a link.
fn identity(out: &mut Vec<u8>, context: &SpanContext) {
    const { assert!(field::SPAN_TRACE_ID == field::LINK_TRACE_ID) };
    const { assert!(field::SPAN_SPAN_ID == field::LINK_SPAN_ID) };
    wire::array(out, field::SPAN_TRACE_ID, context.trace_id().to_bytes());
    wire::array(out, field::SPAN_SPAN_ID, context.span_id().to_bytes());
}

fn event(out: &mut Vec<u8>, event: &Event) {
    wire::nested(out, field::SPAN_EVENTS, |out| {
        wire::fixed64(out, field::EVENT_TIME, nanos(event.timestamp));
        wire::string(out, field::EVENT_NAME, &event.name);
        attributes(out, field::EVENT_ATTRIBUTES, &event.attributes);
        count(
            out,
            field::EVENT_DROPPED_ATTRIBUTES,
            event.dropped_attributes_count,
        );
    });
}

fn link(out: &mut Vec<u8>, link: &Link, link_state: LinkState) {
    let context = &link.span_context;
    wire::nested(out, field::SPAN_LINKS, |out| {
        identity(out, context);
        if link_state == LinkState::Include {
            trace_state(out, field::LINK_TRACE_STATE, context.trace_state());
        }
        attributes(out, field::LINK_ATTRIBUTES, &link.attributes);
        count(
            out,
            field::LINK_DROPPED_ATTRIBUTES,
            link.dropped_attributes_count,
        );
        wire::fixed32(out, field::LINK_FLAGS, flags(context, context.is_remote()));
    });
}

fn status(out: &mut Vec<u8>, status: &Status) {
    match status {
        // The message is empty but present, as in `opentelemetry-proto`.
        Status::Unset => wire::bytes_always(out, field::SPAN_STATUS, &[]),
        Status::Ok => wire::nested(out, field::SPAN_STATUS, |out| {
            wire::unsigned(out, field::STATUS_CODE, field::STATUS_OK);
        }),
        Status::Error { description } => wire::nested(out, field::SPAN_STATUS, |out| {
            wire::string(out, field::STATUS_MESSAGE, description);
            wire::unsigned(out, field::STATUS_CODE, field::STATUS_ERROR);
        }),
    }
}

fn attributes<'a>(
    out: &mut Vec<u8>,
    field: u32,
    attributes: impl IntoIterator<Item = &'a KeyValue>,
) {
    for attribute in attributes {
        key_value(out, field, attribute.key.as_str(), &attribute.value);
    }
}

/// Writes an attribute with a short string, as most have. All its lengths take one byte and are
/// known in advance. Returns false, and writes nothing, if the attribute is longer.
#[inline(always)]
fn short_text(out: &mut Vec<u8>, field: u32, key: &str, text: &str) -> bool {
    /// Length of a tag and a length of one byte each.
    const HEADER: usize = 2;
    let any_value = HEADER + text.len();
    let entry = HEADER + key.len() + HEADER + any_value;
    if entry > wire::MAX_ONE_BYTE_LENGTH || key.is_empty() {
        return false;
    }
    let tags = const {
        [
            wire::short_tag(field::KEY),
            wire::short_tag(field::VALUE),
            wire::short_tag(field::VALUE_STRING),
        ]
    };
    let field = wire::short_tag(field);
    out.extend_from_slice(&[field, entry as u8, tags[0], key.len() as u8]);
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(&[tags[1], any_value as u8, tags[2], text.len() as u8]);
    out.extend_from_slice(text.as_bytes());
    true
}

fn key_value(out: &mut Vec<u8>, field: u32, key: &str, value: &Value) {
    if let Value::String(text) = value
        && short_text(out, field, key, text.as_str())
    {
        return;
    }
    wire::nested(out, field, |out| {
        wire::string(out, field::KEY, key);
        any_value(out, field::VALUE, value);
    });
}

fn any_value(out: &mut Vec<u8>, field: u32, value: &Value) {
    wire::nested(out, field, |out| match value {
        Value::Bool(value) => wire::varint_field(out, field::VALUE_BOOL, u64::from(*value)),
        // An `int64` is the varint of its two's complement.
        Value::I64(value) => wire::varint_field(out, field::VALUE_INT, value.cast_unsigned()),
        Value::F64(value) => wire::fixed64_always(out, field::VALUE_DOUBLE, value.to_bits()),
        Value::String(value) => {
            wire::bytes_always(out, field::VALUE_STRING, value.as_str().as_bytes());
        }
        Value::Array(array) => {
            wire::nested(out, field::VALUE_ARRAY, |out| array_values(out, array))
        }
        // `Value` is non-exhaustive. A later variant is written as text.
        other => wire::bytes_always(out, field::VALUE_STRING, other.as_str().as_bytes()),
    });
}

fn array_values(out: &mut Vec<u8>, array: &Array) {
    let mut put = |value: Value| any_value(out, field::ARRAY_VALUES, &value);
    match array {
        Array::Bool(values) => values.iter().for_each(|value| put(Value::Bool(*value))),
        Array::I64(values) => values.iter().for_each(|value| put(Value::I64(*value))),
        Array::F64(values) => values.iter().for_each(|value| put(Value::F64(*value))),
        Array::String(values) => values
            .iter()
            .for_each(|value| put(Value::String(value.clone()))),
        other => put(Value::String(other.to_string().into())),
    }
}

fn trace_state(out: &mut Vec<u8>, field: u32, trace_state: &TraceState) {
    // `header` allocates even for an empty state, and almost all are empty.
    if trace_state.into_iter().len() > 0 {
        wire::string(out, field, &trace_state.header());
    }
}

fn count(out: &mut Vec<u8>, field: u32, count: u32) {
    wire::unsigned(out, field, u64::from(count));
}

fn flags(context: &SpanContext, is_remote: bool) -> u32 {
    let remote = if is_remote { field::FLAG_IS_REMOTE } else { 0 };
    u32::from(context.trace_flags().to_u8()) | field::FLAG_HAS_IS_REMOTE | remote
}

fn kind(kind: &SpanKind) -> u64 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

/// Returns the nanoseconds since 1970. Earlier times become 1970, and times after 2554 become 2554.
pub(crate) fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(crate) mod tests;
