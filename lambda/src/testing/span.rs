//! A finished span, in the form that makes assertions short.

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

/// A span that has ended.
///
/// Identifiers are lower-case hexadecimal text, and attributes are a JSON object, so that they
/// compare with what one writes down: `span.attributes["error.type"] == "timeout"`. An attribute
/// that is not there is `null`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FinishedSpan {
    /// What the span is called.
    pub name: String,
    /// Whether it is a consumer's, a producer's, a client's …
    pub kind: SpanKind,
    /// The trace it belongs to.
    pub trace_id: String,
    /// Its own identifier.
    pub span_id: String,
    /// The span it is a child of; `None` for the root of a trace.
    pub parent_span_id: Option<String>,
    /// Its attributes, as a JSON object.
    pub attributes: serde_json::Value,
    /// The spans it points at.
    pub links: Vec<SpanLink>,
    /// What happened during it.
    pub events: Vec<SpanEvent>,
    /// The description of its status, when that is an error.
    pub error: Option<String>,
    /// The instrumentation scope: the name of the tracer that made it.
    pub scope: String,
}

/// Where a span points at.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SpanLink {
    /// The trace of the span pointed at.
    pub trace_id: String,
    /// The span pointed at.
    pub span_id: String,
    /// The link's attributes, as a JSON object.
    pub attributes: serde_json::Value,
}

/// Something that happened during a span.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SpanEvent {
    /// What it is called.
    pub name: String,
    /// Its attributes, as a JSON object.
    pub attributes: serde_json::Value,
}

impl FinishedSpan {
    /// Whether `parent` is this span's parent.
    #[must_use]
    pub fn is_child_of(&self, parent: &Self) -> bool {
        self.trace_id == parent.trace_id && self.parent_span_id.as_ref() == Some(&parent.span_id)
    }

    /// Whether one of this span's links points at `other`.
    #[must_use]
    pub fn links_to(&self, other: &Self) -> bool {
        let is_other =
            |link: &SpanLink| (&link.trace_id, &link.span_id) == (&other.trace_id, &other.span_id);
        self.links.iter().any(is_other)
    }

    pub(super) fn from_data(span: SpanData) -> Self {
        let parent = span.parent_span_id;
        let links = span.links.iter();
        let events = span.events.iter();
        Self {
            name: span.name.into_owned(),
            kind: span.span_kind,
            trace_id: span.span_context.trace_id().to_string(),
            span_id: span.span_context.span_id().to_string(),
            parent_span_id: (parent != SpanId::INVALID).then(|| parent.to_string()),
            attributes: object(&span.attributes),
            links: links
                .map(|link| SpanLink::new(&link.span_context, &link.attributes))
                .collect(),
            events: events
                .map(|event| SpanEvent {
                    name: event.name.clone().into_owned(),
                    attributes: object(&event.attributes),
                })
                .collect(),
            error: match span.status {
                Status::Error { description } => Some(description.into_owned()),
                Status::Ok | Status::Unset => None,
            },
            scope: span.instrumentation_scope.name().to_owned(),
        }
    }
}

impl SpanLink {
    fn new(target: &SpanContext, attributes: &[KeyValue]) -> Self {
        Self {
            trace_id: target.trace_id().to_string(),
            span_id: target.span_id().to_string(),
            attributes: object(attributes),
        }
    }
}

fn object(attributes: &[KeyValue]) -> serde_json::Value {
    let entries = attributes
        .iter()
        .map(|attribute| (attribute.key.to_string(), json(&attribute.value)));
    serde_json::Value::Object(entries.collect())
}

/// Numbers and booleans as such; what JSON has no form for (a `NaN`) as `null`.
fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::I64(value) => (*value).into(),
        Value::F64(value) => (*value).into(),
        Value::String(value) => value.as_str().into(),
        Value::Array(Array::Bool(values)) => values.as_slice().into(),
        Value::Array(Array::I64(values)) => values.as_slice().into(),
        Value::Array(Array::F64(values)) => values.as_slice().into(),
        Value::Array(Array::String(values)) => values.iter().map(|value| value.as_str()).collect(),
        // Both enums may grow; their text is the best that can be had of what is not known here.
        other => other.to_string().into(),
    }
}
