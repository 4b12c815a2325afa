//! Decoding of OTLP protobuf into the types of the SDK, for exporters that the program provides.
//!
//! The buffers hold encoded records, for all destinations. A request for such an exporter is
//! decoded immediately before the export, so that a record is never kept in two forms. Only what
//! [`encode`](super::encode) writes is decoded, and other fields are skipped.

use std::str;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::field;
use super::protobuf::{FieldReader, FieldValue, InvalidProtobuf};

mod logs;

pub(crate) use logs::LogDecoder;

type Decoded<T> = Result<T, InvalidProtobuf>;

/// Decodes the spans of an `ExportTraceServiceRequest`. The resource is skipped.
pub(crate) fn spans(request: &[u8]) -> Decoded<Vec<SpanData>> {
    let mut spans = Vec::new();
    for_each_record(request, |scope, record| {
        spans.push(span(record, scope.clone())?);
        Ok(())
    })?;
    Ok(spans)
}

/// Calls `decode` with each record of a request and its scope. All signals have the same fields
/// down to the record.
fn for_each_record(
    request: &[u8],
    mut decode: impl FnMut(&InstrumentationScope, &[u8]) -> Decoded<()>,
) -> Decoded<()> {
    for resource in messages(request, field::REQUEST_RESOURCE_SPANS) {
        for scoped in messages(resource?, field::RESOURCE_SPANS_SCOPE_SPANS) {
            let scoped = scoped?;
            let scope = scope(scoped)?;
            for record in messages(scoped, field::SCOPE_SPANS_SPANS) {
                decode(&scope, record?)?;
            }
        }
    }
    Ok(())
}

/// Iterates over the embedded messages in one field of a protobuf message.
fn messages(message: &[u8], number: u32) -> impl Iterator<Item = Decoded<&[u8]>> {
    FieldReader::new(message).filter_map(move |field| match field {
        Ok((found, FieldValue::Bytes(bytes))) if found == number => Some(Ok(bytes)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

/// Decodes the scope of a `ScopeSpans`.
fn scope(scoped: &[u8]) -> Decoded<InstrumentationScope> {
    let (mut name, mut version, mut schema_url, mut attributes) = ("", "", "", Vec::new());
    for field in FieldReader::new(scoped) {
        match field? {
            (field::SCOPE_SPANS_SCOPE, FieldValue::Bytes(scope)) => {
                for field in FieldReader::new(scope) {
                    match field? {
                        (field::SCOPE_NAME, FieldValue::Bytes(bytes)) => name = text(bytes)?,
                        (field::SCOPE_VERSION, FieldValue::Bytes(bytes)) => version = text(bytes)?,
                        (field::SCOPE_ATTRIBUTES, FieldValue::Bytes(bytes)) => {
                            attributes.push(attribute(bytes)?);
                        }
                        _ => {}
                    }
                }
            }
            (field::SCOPE_SPANS_SCHEMA_URL, FieldValue::Bytes(bytes)) => schema_url = text(bytes)?,
            _ => {}
        }
    }
    let mut scope = InstrumentationScope::builder(name.to_owned()).with_attributes(attributes);
    if !version.is_empty() {
        scope = scope.with_version(version.to_owned());
    }
    if !schema_url.is_empty() {
        scope = scope.with_schema_url(schema_url.to_owned());
    }
    Ok(scope.build())
}

fn span(message: &[u8], scope: InstrumentationScope) -> Decoded<SpanData> {
    let mut identity = Identity::default();
    let (mut events, mut links) = (SpanEvents::default(), SpanLinks::default());
    let mut span = SpanData {
        span_context: SpanContext::NONE,
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "".into(),
        start_time: UNIX_EPOCH,
        end_time: UNIX_EPOCH,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: scope,
    };
    for field in FieldReader::new(message) {
        match field? {
            (field::SPAN_TRACE_ID, FieldValue::Bytes(bytes)) => {
                identity.trace_id = trace_id(bytes)?;
            }
            (field::SPAN_SPAN_ID, FieldValue::Bytes(bytes)) => identity.span_id = span_id(bytes)?,
            (field::SPAN_TRACE_STATE, FieldValue::Bytes(bytes)) => {
                identity.trace_state = trace_state(bytes)?;
            }
            (field::SPAN_FLAGS, FieldValue::Fixed32(flags)) => identity.flags = flags,
            (field::SPAN_PARENT_SPAN_ID, FieldValue::Bytes(bytes)) => {
                span.parent_span_id = span_id(bytes)?;
            }
            (field::SPAN_NAME, FieldValue::Bytes(bytes)) => {
                span.name = text(bytes)?.to_owned().into();
            }
            (field::SPAN_KIND, FieldValue::Varint(number)) => span.span_kind = kind(number),
            (field::SPAN_START, FieldValue::Fixed64(nanos)) => span.start_time = time(nanos),
            (field::SPAN_END, FieldValue::Fixed64(nanos)) => span.end_time = time(nanos),
            (field::SPAN_ATTRIBUTES, FieldValue::Bytes(bytes)) => {
                span.attributes.push(attribute(bytes)?);
            }
            (field::SPAN_DROPPED_ATTRIBUTES, FieldValue::Varint(number)) => {
                span.dropped_attributes_count = count(number);
            }
            (field::SPAN_EVENTS, FieldValue::Bytes(bytes)) => events.events.push(event(bytes)?),
            (field::SPAN_DROPPED_EVENTS, FieldValue::Varint(number)) => {
                events.dropped_count = count(number);
            }
            (field::SPAN_LINKS, FieldValue::Bytes(bytes)) => links.links.push(link(bytes)?),
            (field::SPAN_DROPPED_LINKS, FieldValue::Varint(number)) => {
                links.dropped_count = count(number);
            }
            (field::SPAN_STATUS, FieldValue::Bytes(bytes)) => span.status = status(bytes)?,
            _ => {}
        }
    }
    // In the flags of a span, the bit describes the parent.
    span.parent_span_is_remote = identity.is_remote();
    span.span_context = identity.into_context(false);
    (span.events, span.links) = (events, links);
    Ok(span)
}

fn event(message: &[u8]) -> Decoded<Event> {
    let (mut name, mut timestamp) = (String::new(), UNIX_EPOCH);
    let (mut attributes, mut dropped) = (Vec::new(), 0);
    for field in FieldReader::new(message) {
        match field? {
            (field::EVENT_TIME, FieldValue::Fixed64(nanos)) => timestamp = time(nanos),
            (field::EVENT_NAME, FieldValue::Bytes(bytes)) => text(bytes)?.clone_into(&mut name),
            (field::EVENT_ATTRIBUTES, FieldValue::Bytes(bytes)) => {
                attributes.push(attribute(bytes)?);
            }
            (field::EVENT_DROPPED_ATTRIBUTES, FieldValue::Varint(number)) => {
                dropped = count(number);
            }
            _ => {}
        }
    }
    Ok(Event::new(name, timestamp, attributes, dropped))
}

fn link(message: &[u8]) -> Decoded<Link> {
    let mut identity = Identity::default();
    let (mut attributes, mut dropped) = (Vec::new(), 0);
    for field in FieldReader::new(message) {
        match field? {
            (field::LINK_TRACE_ID, FieldValue::Bytes(bytes)) => {
                identity.trace_id = trace_id(bytes)?;
            }
            (field::LINK_SPAN_ID, FieldValue::Bytes(bytes)) => identity.span_id = span_id(bytes)?,
            (field::LINK_TRACE_STATE, FieldValue::Bytes(bytes)) => {
                identity.trace_state = trace_state(bytes)?;
            }
            (field::LINK_FLAGS, FieldValue::Fixed32(flags)) => identity.flags = flags,
            (field::LINK_ATTRIBUTES, FieldValue::Bytes(bytes)) => {
                attributes.push(attribute(bytes)?);
            }
            (field::LINK_DROPPED_ATTRIBUTES, FieldValue::Varint(number)) => dropped = count(number),
            _ => {}
        }
    }
    let is_remote = identity.is_remote();
    Ok(Link::new(
        identity.into_context(is_remote),
        attributes,
        dropped,
    ))
}

/// The fields of a span context.
struct Identity {
    trace_id: TraceId,
    span_id: SpanId,
    trace_state: TraceState,
    flags: u32,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            trace_id: TraceId::INVALID,
            span_id: SpanId::INVALID,
            trace_state: TraceState::NONE,
            flags: 0,
        }
    }
}

impl Identity {
    fn is_remote(&self) -> bool {
        self.flags & field::FLAG_IS_REMOTE != 0
    }

    fn into_context(self, is_remote: bool) -> SpanContext {
        let flags = trace_flags(self.flags);
        SpanContext::new(
            self.trace_id,
            self.span_id,
            flags,
            is_remote,
            self.trace_state,
        )
    }
}

/// Returns the flags of W3C Trace Context, which are the lowest byte.
fn trace_flags(flags: u32) -> TraceFlags {
    let [lowest, ..] = flags.to_le_bytes();
    TraceFlags::new(lowest)
}

fn status(message: &[u8]) -> Decoded<Status> {
    let (mut code, mut description) = (0, "");
    for field in FieldReader::new(message) {
        match field? {
            (field::STATUS_CODE, FieldValue::Varint(number)) => code = number,
            (field::STATUS_MESSAGE, FieldValue::Bytes(bytes)) => description = text(bytes)?,
            _ => {}
        }
    }
    Ok(match code {
        field::STATUS_OK => Status::Ok,
        field::STATUS_ERROR => Status::error(description.to_owned()),
        _ => Status::Unset,
    })
}

fn attribute(message: &[u8]) -> Decoded<KeyValue> {
    let (mut key, mut value) = ("", &[][..]);
    for field in FieldReader::new(message) {
        match field? {
            (field::KEY, FieldValue::Bytes(bytes)) => key = text(bytes)?,
            (field::VALUE, FieldValue::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Ok(KeyValue::new(key.to_owned(), any_value(value)?))
}

/// Decodes an `AnyValue`. An `AnyValue` without a value becomes an empty string.
fn any_value(message: &[u8]) -> Decoded<Value> {
    let mut value = Value::String("".into());
    for field in FieldReader::new(message) {
        value = match field? {
            (field::VALUE_STRING, FieldValue::Bytes(bytes)) => {
                Value::String(text(bytes)?.to_owned().into())
            }
            (field::VALUE_BOOL, FieldValue::Varint(number)) => Value::Bool(number != 0),
            (field::VALUE_INT, FieldValue::Varint(number)) => Value::I64(number.cast_signed()),
            (field::VALUE_DOUBLE, FieldValue::Fixed64(bits)) => Value::F64(f64::from_bits(bits)),
            (field::VALUE_ARRAY, FieldValue::Bytes(bytes)) => Value::Array(array(bytes)?),
            _ => value,
        };
    }
    Ok(value)
}

/// Decodes an `ArrayValue`, whose elements have one type. The type of an empty array is not
/// encoded, so it becomes an array of strings.
fn array(message: &[u8]) -> Decoded<Array> {
    let values = messages(message, field::ARRAY_VALUES);
    let values: Vec<Value> = values
        .map(|value| any_value(value?))
        .collect::<Decoded<_>>()?;
    Ok(match values.first() {
        Some(Value::Bool(_)) => Array::Bool(elements(values, |value| match value {
            Value::Bool(value) => Some(value),
            _ => None,
        })),
        Some(Value::I64(_)) => Array::I64(elements(values, |value| match value {
            Value::I64(value) => Some(value),
            _ => None,
        })),
        Some(Value::F64(_)) => Array::F64(elements(values, |value| match value {
            Value::F64(value) => Some(value),
            _ => None,
        })),
        _ => Array::String(elements(values, |value| match value {
            Value::String(value) => Some(value),
            other => Some(StringValue::from(other.to_string())),
        })),
    })
}

fn elements<T>(values: Vec<Value>, convert: fn(Value) -> Option<T>) -> Vec<T> {
    values.into_iter().filter_map(convert).collect()
}

fn kind(number: u64) -> SpanKind {
    match number {
        2 => SpanKind::Server,
        3 => SpanKind::Client,
        4 => SpanKind::Producer,
        5 => SpanKind::Consumer,
        _ => SpanKind::Internal,
    }
}

fn trace_id(bytes: &[u8]) -> Decoded<TraceId> {
    let bytes = bytes.try_into().map_err(|_| InvalidProtobuf::Truncated)?;
    Ok(TraceId::from_bytes(bytes))
}

fn span_id(bytes: &[u8]) -> Decoded<SpanId> {
    let bytes = bytes.try_into().map_err(|_| InvalidProtobuf::Truncated)?;
    Ok(SpanId::from_bytes(bytes))
}

/// Decodes a trace state. It is valid, because the encoder wrote it from a valid one.
fn trace_state(bytes: &[u8]) -> Decoded<TraceState> {
    Ok(text(bytes)?.parse().unwrap_or_default())
}

fn text(bytes: &[u8]) -> Decoded<&str> {
    str::from_utf8(bytes).map_err(|_| InvalidProtobuf::NotUtf8)
}

/// Returns the time at this number of nanoseconds since 1970. Any `u64` is a valid time.
fn time(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos)
}

fn count(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
