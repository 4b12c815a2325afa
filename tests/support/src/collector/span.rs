//! Spans as they are on the wire, decoded with `opentelemetry-proto` and nothing of Baton's.

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
    AttributeValue, InvalidExport, Resource, Scope, attributes, each, hex, resource, scope,
};

/// A span. Ids are lower-case hex, and an attribute's value has the type that was sent.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub struct Span {
    pub trace_id: String,
    pub span_id: String,
    /// `None` of a root.
    pub parent_span_id: Option<String>,
    pub trace_state: String,
    /// The lower byte is that of `traceparent`; bit 8 says that bit 9 counts, and bit 9 that the
    /// parent is in another process.
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
    /// When the request that it came in had been read.
    pub arrived_at: Instant,
}

/// Something that happened during a span.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub struct SpanEvent {
    pub time_unix_nano: u64,
    pub name: String,
    pub attributes: BTreeMap<String, AttributeValue>,
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
    pub attributes: BTreeMap<String, AttributeValue>,
    pub dropped_attributes: u32,
}

/// How a span ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub struct Status {
    pub code: StatusCode,
    pub message: String,
}

/// All spans of one request.
pub(super) fn decode(body: &Bytes, arrived_at: Instant) -> Result<Vec<Span>, InvalidExport> {
    let request = ExportTraceServiceRequest::decode(body.clone())?;
    let mut spans = Vec::new();
    for of_resource in request.resource_spans {
        let resource = resource(of_resource.resource, of_resource.schema_url)?;
        for of_scope in of_resource.scope_spans {
            let scope = scope(of_scope.scope, of_scope.schema_url)?;
            for span in of_scope.spans {
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
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_span_id: Some(hex(&span.parent_span_id)).filter(|id| !id.is_empty()),
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
        trace_id: hex(&link.trace_id),
        span_id: hex(&link.span_id),
        trace_state: link.trace_state,
        flags: link.flags,
        attributes: attributes(link.attributes)?,
        dropped_attributes: link.dropped_attributes_count,
    })
}
