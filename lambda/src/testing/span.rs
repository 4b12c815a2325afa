//! Finished spans, in a form that keeps assertions short.

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

/// A span that has ended.
///
/// Ids are lower-case hexadecimal strings. Attributes are a JSON object, so that they compare with
/// literals: `span.attributes["error.type"] == "timeout"`. A missing attribute is `null`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FinishedSpan {
    /// Name of the span.
    pub name: String,
    /// Kind of the span, such as consumer, producer or client.
    pub kind: SpanKind,
    /// Id of the trace.
    pub trace_id: String,
    /// Id of the span.
    pub span_id: String,
    /// Id of the parent span, or `None` for the root of a trace.
    pub parent_span_id: Option<String>,
    /// Attributes, as a JSON object.
    pub attributes: serde_json::Value,
    /// Links to other spans.
    pub links: Vec<SpanLink>,
    /// Events during the span.
    pub events: Vec<SpanEvent>,
    /// Description of the status, if it is an error.
    pub error: Option<String>,
    /// Instrumentation scope: the name of the tracer.
    pub scope: String,
}

/// A link of a span to another span.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SpanLink {
    /// Id of the other span's trace.
    pub trace_id: String,
    /// Id of the other span.
    pub span_id: String,
    /// Attributes of the link, as a JSON object.
    pub attributes: serde_json::Value,
}

/// An event during a span.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SpanEvent {
    /// Name of the event.
    pub name: String,
    /// Attributes of the event, as a JSON object.
    pub attributes: serde_json::Value,
}

impl FinishedSpan {
    /// Returns `true` if `parent` is the parent of this span.
    #[must_use]
    pub fn is_child_of(&self, parent: &Self) -> bool {
        self.trace_id == parent.trace_id && self.parent_span_id.as_ref() == Some(&parent.span_id)
    }

    /// Returns `true` if this span has a link to `other`.
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
            attributes: attributes_to_json(&span.attributes),
            links: links
                .map(|link| SpanLink::new(&link.span_context, &link.attributes))
                .collect(),
            events: events
                .map(|event| SpanEvent {
                    name: event.name.clone().into_owned(),
                    attributes: attributes_to_json(&event.attributes),
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
            attributes: attributes_to_json(attributes),
        }
    }
}

/// Returns attributes as a JSON object.
pub(super) fn attributes_to_json(attributes: &[KeyValue]) -> serde_json::Value {
    let entries = attributes
        .iter()
        .map(|attribute| (attribute.key.to_string(), json(&attribute.value)));
    serde_json::Value::Object(entries.collect())
}

/// Converts an attribute value to JSON. A number that JSON cannot represent, such as `NaN`, becomes
/// `null`.
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
        // Both enums are non-exhaustive. The text of an unknown variant is the best representation.
        other => other.to_string().into(),
    }
}
