//! Spans as they are on the wire, decoded with `opentelemetry-proto` and nothing of Baton's.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message as _;

pub use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
pub use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

/// A span. Ids are lower-case hex, and an attribute's value has the type that was sent.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub struct Span {
    pub trace_id: String,
    pub span_id: String,
    /// `None` of a root.
    pub parent_span_id: Option<String>,
    pub trace_state: String,
    /// The lower byte is that of `traceparent`; bit 8 says that bit 9 counts, and bit 9 that the parent is in another process.
    pub flags: u32,
    pub name: String,
    pub kind: SpanKind,
    pub start_unix_nano: u64,
    pub end_unix_nano: u64,
    pub attributes: BTreeMap<String, Value>,
    pub dropped_attributes: u32,
    pub events: Vec<SpanEvent>,
    pub dropped_events: u32,
    pub links: Vec<Link>,
    pub dropped_links: u32,
    pub status: Status,
    pub resource: Arc<Resource>,
    pub scope: Arc<Scope>,
    /// When the request that it came in had been read.
    pub arrived_at: Instant,
}

/// Something that happened during a span.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub struct SpanEvent {
    pub time_unix_nano: u64,
    pub name: String,
    pub attributes: BTreeMap<String, Value>,
    pub dropped_attributes: u32,
}

/// Another span that this one has to do with.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub struct Link {
    pub trace_id: String,
    pub span_id: String,
    pub trace_state: String,
    /// As of a span; bit 9 says that the span linked to is in another process.
    pub flags: u32,
    pub attributes: BTreeMap<String, Value>,
    pub dropped_attributes: u32,
}

/// How a span ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub struct Status {
    pub code: StatusCode,
    pub message: String,
}

/// Who made the span.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub struct Resource {
    pub attributes: BTreeMap<String, Value>,
    pub schema_url: String,
}

/// Which of its libraries.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub struct Scope {
    pub name: String,
    pub version: String,
    pub attributes: BTreeMap<String, Value>,
    pub schema_url: String,
}

/// An attribute's value.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the types of OTLP, under its names")]
pub enum Value {
    String(String),
    Bool(bool),
    Int(i64),
    Double(f64),
    Array(Vec<Value>),
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

/// Why a request is not what OTLP says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Undecodable {
    /// No protobuf, or of another message.
    #[error("the export is no protobuf of an ExportTraceServiceRequest")]
    Protobuf(#[from] prost::DecodeError),
    /// OTLP demands unique keys.
    #[error("the attribute {0} is there twice")]
    Twice(String),
    /// A value that no span of ours has: none, bytes, or a map.
    #[error("the attribute {0} has a value of an unexpected type")]
    Type(String),
    /// A number that the enumeration has not.
    #[error("{0} is no {1}")]
    Number(i32, &'static str),
    /// A part that every span has.
    #[error("there is no {0}")]
    Missing(&'static str),
}

/// All spans of one request.
pub(super) fn decode(body: &Bytes, arrived_at: Instant) -> Result<Vec<Span>, Undecodable> {
    let request = ExportTraceServiceRequest::decode(body.clone())?;
    let mut spans = Vec::new();
    for of_resource in request.resource_spans {
        let resource = of_resource
            .resource
            .ok_or(Undecodable::Missing("resource"))?;
        let resource = Arc::new(Resource {
            attributes: attributes(resource.attributes)?,
            schema_url: of_resource.schema_url,
        });
        for of_scope in of_resource.scope_spans {
            let scope = of_scope.scope.ok_or(Undecodable::Missing("scope"))?;
            let scope = Arc::new(self::scope(scope, of_scope.schema_url)?);
            for span in of_scope.spans {
                spans.push(self::span(span, &resource, &scope, arrived_at)?);
            }
        }
    }
    Ok(spans)
}

fn scope(scope: InstrumentationScope, schema_url: String) -> Result<Scope, Undecodable> {
    Ok(Scope {
        name: scope.name,
        version: scope.version,
        attributes: attributes(scope.attributes)?,
        schema_url,
    })
}

fn span(
    span: otlp::Span,
    resource: &Arc<Resource>,
    scope: &Arc<Scope>,
    arrived_at: Instant,
) -> Result<Span, Undecodable> {
    let status = span.status.ok_or(Undecodable::Missing("status"))?;
    Ok(Span {
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_span_id: Some(hex(&span.parent_span_id)).filter(|id| !id.is_empty()),
        trace_state: span.trace_state,
        flags: span.flags,
        name: span.name,
        kind: SpanKind::try_from(span.kind)
            .map_err(|_| Undecodable::Number(span.kind, "SpanKind"))?,
        start_unix_nano: span.start_time_unix_nano,
        end_unix_nano: span.end_time_unix_nano,
        attributes: attributes(span.attributes)?,
        dropped_attributes: span.dropped_attributes_count,
        events: each(span.events, event)?,
        dropped_events: span.dropped_events_count,
        links: each(span.links, link)?,
        dropped_links: span.dropped_links_count,
        status: Status {
            code: StatusCode::try_from(status.code)
                .map_err(|_| Undecodable::Number(status.code, "StatusCode"))?,
            message: status.message,
        },
        resource: Arc::clone(resource),
        scope: Arc::clone(scope),
        arrived_at,
    })
}

fn event(event: otlp::span::Event) -> Result<SpanEvent, Undecodable> {
    Ok(SpanEvent {
        time_unix_nano: event.time_unix_nano,
        name: event.name,
        attributes: attributes(event.attributes)?,
        dropped_attributes: event.dropped_attributes_count,
    })
}

fn link(link: otlp::span::Link) -> Result<Link, Undecodable> {
    Ok(Link {
        trace_id: hex(&link.trace_id),
        span_id: hex(&link.span_id),
        trace_state: link.trace_state,
        flags: link.flags,
        attributes: attributes(link.attributes)?,
        dropped_attributes: link.dropped_attributes_count,
    })
}

fn attributes(pairs: Vec<KeyValue>) -> Result<BTreeMap<String, Value>, Undecodable> {
    let mut attributes = BTreeMap::new();
    for KeyValue { key, value, .. } in pairs {
        let value = value.and_then(self::value);
        let value = value.ok_or_else(|| Undecodable::Type(key.clone()))?;
        if attributes.insert(key.clone(), value).is_some() {
            return Err(Undecodable::Twice(key));
        }
    }
    Ok(attributes)
}

fn value(value: AnyValue) -> Option<Value> {
    Some(match value.value? {
        any_value::Value::StringValue(value) => Value::String(value),
        any_value::Value::BoolValue(value) => Value::Bool(value),
        any_value::Value::IntValue(value) => Value::Int(value),
        any_value::Value::DoubleValue(value) => Value::Double(value),
        any_value::Value::ArrayValue(array) => {
            let values = array.values.into_iter().map(self::value);
            Value::Array(values.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

fn each<T, U>(
    items: Vec<T>,
    convert: impl Fn(T) -> Result<U, Undecodable>,
) -> Result<Vec<U>, Undecodable> {
    items.into_iter().map(convert).collect()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
