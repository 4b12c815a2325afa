//! Log records on the wire, decoded with `opentelemetry-proto` and none of Baton's code.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1 as otlp;
use prost::Message as _;

use super::common::{
    AttributeValue, InvalidExport, Resource, Scope, attributes, resource, scope, value,
};

/// A log record. Ids are lower-case hex.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub struct LogRecord {
    pub time_unix_nano: u64,
    pub observed_time_unix_nano: u64,
    pub severity_number: i32,
    pub severity_text: String,
    pub body: Option<AttributeValue>,
    pub attributes: BTreeMap<String, AttributeValue>,
    pub dropped_attributes: u32,
    pub flags: u32,
    /// `None` outside a span.
    pub trace_id: Option<String>,
    pub span_id: Option<String>,
    pub event_name: String,
    pub resource: Arc<Resource>,
    pub scope: Arc<Scope>,
    /// Time at which the request with the record was read.
    pub arrived_at: Instant,
}

/// Decodes the log records of one request.
pub(super) fn decode(body: &Bytes, arrived_at: Instant) -> Result<Vec<LogRecord>, InvalidExport> {
    let request = ExportLogsServiceRequest::decode(body.clone())?;
    let mut records = Vec::new();
    for resource_logs in request.resource_logs {
        let resource = resource(resource_logs.resource, resource_logs.schema_url)?;
        for scope_logs in resource_logs.scope_logs {
            let scope = scope(scope_logs.scope, scope_logs.schema_url)?;
            for record in scope_logs.log_records {
                records.push(self::record(record, &resource, &scope, arrived_at)?);
            }
        }
    }
    Ok(records)
}

fn record(
    record: otlp::LogRecord,
    resource: &Arc<Resource>,
    scope: &Arc<Scope>,
    arrived_at: Instant,
) -> Result<LogRecord, InvalidExport> {
    let body = record.body.map(|body| value(body).ok_or("body of a log"));
    Ok(LogRecord {
        time_unix_nano: record.time_unix_nano,
        observed_time_unix_nano: record.observed_time_unix_nano,
        severity_number: record.severity_number,
        severity_text: record.severity_text,
        body: body.transpose().map_err(InvalidExport::Missing)?,
        attributes: attributes(record.attributes)?,
        dropped_attributes: record.dropped_attributes_count,
        flags: record.flags,
        trace_id: Some(const_hex::encode(&record.trace_id)).filter(|id| !id.is_empty()),
        span_id: Some(const_hex::encode(&record.span_id)).filter(|id| !id.is_empty()),
        event_name: record.event_name,
        resource: Arc::clone(resource),
        scope: Arc::clone(scope),
        arrived_at,
    })
}
