//! A received span in the form that the JSON API, the demo and the tests read.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1 as proto;
use serde::Serialize;
use serde_json::{Map, Number, Value};

/// Bit of `flags` that is set if the sender knows where the parent is (OTLP,
/// `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK`).
const HAS_IS_REMOTE: u32 = 0x100;
/// Bit of `flags` that is set if the parent is in another process (OTLP,
/// `SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`).
const IS_REMOTE: u32 = 0x200;
/// Length of a trace id in bytes.
pub(super) const TRACE_ID_LENGTH: usize = 16;
/// Length of a span id in bytes.
pub(super) const SPAN_ID_LENGTH: usize = 8;

/// A finished span that the receiver stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoredSpan {
    /// 32 lower-case hexadecimal digits.
    pub trace_id: String,
    /// 16 lower-case hexadecimal digits.
    pub span_id: String,
    /// Span id of the parent; `None` for a root span.
    pub parent_span_id: Option<String>,
    /// True if the parent is in another process; `None` if the sender did not say.
    pub parent_is_remote: Option<bool>,
    /// The `tracestate` of the span's context.
    pub trace_state: String,
    /// Name of the span.
    pub name: String,
    /// Kind of the span.
    pub kind: SpanKind,
    /// Start time in nanoseconds since 1970.
    pub start_unix_nano: u64,
    /// End time in nanoseconds since 1970.
    pub end_unix_nano: u64,
    /// Attributes. If a key appears twice, the last value is used.
    pub attributes: Map<String, Value>,
    /// Links in the sender's order.
    pub links: Vec<SpanLink>,
    /// Events in the sender's order.
    pub events: Vec<SpanEvent>,
    /// Status of the span.
    pub status: SpanStatus,
    /// Name of the instrumentation scope.
    pub scope: String,
    /// Attributes of the resource, shared by all spans of a request that have this resource.
    #[serde(serialize_with = "serialize_resource")]
    pub resource: Arc<Map<String, Value>>,
}

/// Role of a span in a call between two processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names are OpenTelemetry's own")]
pub enum SpanKind {
    Unspecified,
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

/// A link to another span.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpanLink {
    /// Trace id of the linked span.
    pub trace_id: String,
    /// Span id of the linked span.
    pub span_id: String,
    /// Attributes of the link.
    pub attributes: Map<String, Value>,
}

/// An event of a span.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpanEvent {
    /// Name of the event.
    pub name: String,
    /// Time of the event in nanoseconds since 1970.
    pub time_unix_nano: u64,
    /// Attributes of the event.
    pub attributes: Map<String, Value>,
}

/// Status of a span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SpanStatus {
    /// Code of the status.
    pub code: SpanStatusCode,
    /// Description; empty unless the code is an error.
    pub message: String,
}

/// Code of a [`SpanStatus`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names are OpenTelemetry's own")]
pub enum SpanStatusCode {
    Unset,
    Ok,
    Error,
}

impl StoredSpan {
    /// Converts a span from protobuf. Returns `None` if an id is not what OTLP requires: 16 or 8
    /// bytes that are not all zero.
    pub(super) fn from_proto(
        span: proto::Span,
        scope: &str,
        resource: &Arc<Map<String, Value>>,
    ) -> Option<Self> {
        if !is_id(&span.trace_id, TRACE_ID_LENGTH) || !is_id(&span.span_id, SPAN_ID_LENGTH) {
            return None;
        }
        Some(Self {
            trace_id: to_hex(&span.trace_id),
            span_id: to_hex(&span.span_id),
            parent_span_id: is_id(&span.parent_span_id, SPAN_ID_LENGTH)
                .then(|| to_hex(&span.parent_span_id)),
            parent_is_remote: (span.flags & HAS_IS_REMOTE != 0)
                .then_some(span.flags & IS_REMOTE != 0),
            kind: span.kind().into(),
            trace_state: span.trace_state,
            name: span.name,
            start_unix_nano: span.start_time_unix_nano,
            end_unix_nano: span.end_time_unix_nano,
            attributes: to_json_map(span.attributes),
            links: span.links.into_iter().map(SpanLink::from).collect(),
            events: span.events.into_iter().map(SpanEvent::from).collect(),
            status: span.status.unwrap_or_default().into(),
            scope: scope.to_owned(),
            resource: Arc::clone(resource),
        })
    }

    /// Returns the value of a string attribute.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.attributes.get(key)?.as_str()
    }

    /// Returns the value of an integer attribute.
    #[must_use]
    pub fn integer(&self, key: &str) -> Option<i64> {
        self.attributes.get(key)?.as_i64()
    }

    /// Returns the value of a numeric attribute.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<f64> {
        self.attributes.get(key)?.as_f64()
    }
}

/// Converts OTLP attributes to JSON.
pub(super) fn to_json_map(pairs: Vec<KeyValue>) -> Map<String, Value> {
    pairs
        .into_iter()
        .map(|pair| (pair.key, to_json(pair.value)))
        .collect()
}

fn to_json(value: Option<AnyValue>) -> Value {
    match value.and_then(|any| any.value) {
        None | Some(Any::StringValueStrindex(_)) => Value::Null,
        Some(Any::StringValue(text)) => Value::String(text),
        Some(Any::BoolValue(flag)) => Value::Bool(flag),
        Some(Any::IntValue(integer)) => Value::from(integer),
        // JSON has no number for infinities and NaN, so their names are stored.
        Some(Any::DoubleValue(double)) => Number::from_f64(double)
            .map_or_else(|| Value::String(double.to_string()), Value::Number),
        Some(Any::ArrayValue(array)) => array
            .values
            .into_iter()
            .map(|element| to_json(Some(element)))
            .collect(),
        Some(Any::KvlistValue(list)) => Value::Object(to_json_map(list.values)),
        Some(Any::BytesValue(bytes)) => Value::String(STANDARD.encode(bytes)),
    }
}

impl From<proto::span::Link> for SpanLink {
    fn from(link: proto::span::Link) -> Self {
        Self {
            trace_id: to_hex(&link.trace_id),
            span_id: to_hex(&link.span_id),
            attributes: to_json_map(link.attributes),
        }
    }
}

impl From<proto::span::Event> for SpanEvent {
    fn from(event: proto::span::Event) -> Self {
        Self {
            name: event.name,
            time_unix_nano: event.time_unix_nano,
            attributes: to_json_map(event.attributes),
        }
    }
}

impl From<proto::Status> for SpanStatus {
    fn from(status: proto::Status) -> Self {
        let code = match status.code() {
            proto::status::StatusCode::Unset => SpanStatusCode::Unset,
            proto::status::StatusCode::Ok => SpanStatusCode::Ok,
            proto::status::StatusCode::Error => SpanStatusCode::Error,
        };
        Self {
            code,
            message: status.message,
        }
    }
}

impl From<proto::span::SpanKind> for SpanKind {
    fn from(kind: proto::span::SpanKind) -> Self {
        match kind {
            proto::span::SpanKind::Unspecified => Self::Unspecified,
            proto::span::SpanKind::Internal => Self::Internal,
            proto::span::SpanKind::Server => Self::Server,
            proto::span::SpanKind::Client => Self::Client,
            proto::span::SpanKind::Producer => Self::Producer,
            proto::span::SpanKind::Consumer => Self::Consumer,
        }
    }
}

fn is_id(bytes: &[u8], length: usize) -> bool {
    bytes.len() == length && bytes.iter().any(|byte| *byte != 0)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Serialises the map, because serde does not serialise an `Arc` by default.
fn serialize_resource<S: serde::Serializer>(
    map: &Arc<Map<String, Value>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    map.serialize(serializer)
}
