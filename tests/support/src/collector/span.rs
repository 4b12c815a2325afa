//! Spans on the wire, decoded with `opentelemetry-proto` and none of Baton's code.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1 as otlp;
pub use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
pub use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;

use super::common::{
    AttributeValue, InvalidExport, Resource, Scope, attributes, each, resource, scope,
};

/// A span. Ids are lower-case hex, and each attribute's value has the type on the wire.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub struct Span {
    pub trace_id: String,
    pub span_id: String,
    /// `None` for a root span.
    pub parent_span_id: Option<String>,
    pub trace_state: String,
    /// The lower byte is that of `traceparent`. Bit 9 is set if the parent is in another process,
    /// and bit 8 if bit 9 is valid.
    pub flags: u32,
    pub name: String,
    pub kind: SpanKind,
    pub start_unix_nano: u64,
    pub end_unix_nano: u64,
    pub attributes: BTreeMap<String, AttributeValue>,
    pub dropped_attributes: u32,
    pub events: Vec<SpanEvent>,
    pub dropped_events: u32,
    pub links: Vec<Link>,
    pub dropped_links: u32,
    pub status: Status,
    pub resource: Arc<Resource>,
    pub scope: Arc<Scope>,
    /// Time at which the request with the span was read.
    pub arrived_at: Instant,
}

/// An event during a span.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub struct SpanEvent {
    pub time_unix_nano: u64,
    pub name: String,
    pub attributes: BTreeMap<String, AttributeValue>,
    pub dropped_attributes: u32,
}

/// A link from a span to another one.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub struct Link {
    pub trace_id: String,
    pub span_id: String,
    pub trace_state: String,
    /// Flags with the meaning of [`Span::flags`]. Bit 9 is set if the linked span is in another
    /// process.
    pub flags: u32,
    pub attributes: BTreeMap<String, AttributeValue>,
    pub dropped_attributes: u32,
}

/// The status of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub struct Status {
    pub code: StatusCode,
    pub message: String,
}

/// Decodes the spans of one request.
pub(super) fn decode(body: &Bytes, arrived_at: Instant) -> Result<Vec<Span>, InvalidExport> {
    let request = ExportTraceServiceRequest::decode(body.clone())?;
    let mut spans = Vec::new();
    for resource_spans in request.resource_spans {
        let resource = resource(resource_spans.resource, resource_spans.schema_url)?;
        for scope_spans in resource_spans.scope_spans {
            let scope = scope(scope_spans.scope, scope_spans.schema_url)?;
            for span in scope_spans.spans {
                spans.push(self::span(span, &resource, &scope, arrived_at)?);
            }
        }
    }
    Ok(spans)
}

fn span(
    span: otlp::Span,
    resource: &Arc<Resource>,
    scope: &Arc<Scope>,
    arrived_at: Instant,
) -> Result<Span, InvalidExport> {
    let status = span.status.ok_or(InvalidExport::Missing("status"))?;
    Ok(Span {
        trace_id: const_hex::encode(&span.trace_id),
        span_id: const_hex::encode(&span.span_id),
        parent_span_id: Some(const_hex::encode(&span.parent_span_id)).filter(|id| !id.is_empty()),
        trace_state: span.trace_state,
        flags: span.flags,
        name: span.name,
        kind: SpanKind::try_from(span.kind)
            .map_err(|_| InvalidExport::UnknownNumber(span.kind, "SpanKind"))?,
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
                .map_err(|_| InvalidExport::UnknownNumber(status.code, "StatusCode"))?,
            message: status.message,
        },
        resource: Arc::clone(resource),
        scope: Arc::clone(scope),
        arrived_at,
    })
}

fn event(event: otlp::span::Event) -> Result<SpanEvent, InvalidExport> {
    Ok(SpanEvent {
        time_unix_nano: event.time_unix_nano,
        name: event.name,
        attributes: attributes(event.attributes)?,
        dropped_attributes: event.dropped_attributes_count,
    })
}

fn link(link: otlp::span::Link) -> Result<Link, InvalidExport> {
    Ok(Link {
        trace_id: const_hex::encode(&link.trace_id),
        span_id: const_hex::encode(&link.span_id),
        trace_state: link.trace_state,
        flags: link.flags,
        attributes: attributes(link.attributes)?,
        dropped_attributes: link.dropped_attributes_count,
    })
}
