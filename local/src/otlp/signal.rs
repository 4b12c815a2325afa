//! Requests and responses of the three signals.

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use serde::Serialize;

use super::json::{self, Schema, SkippedRecords};
use super::store::SpanStore;

/// An OTLP export request.
pub(super) trait ExportRequest: Message + Default + 'static {
    /// Schema of the request's JSON.
    const SCHEMA: &'static Schema;

    /// Response to a request of this signal.
    type Response: Message + Default + Serialize;

    /// Adds the request to the store. `skipped` describes the records that decoding left out of it.
    fn accept(self, store: &SpanStore, skipped: SkippedRecords) -> Self::Response;
}

impl ExportRequest for ExportTraceServiceRequest {
    const SCHEMA: &'static Schema = &json::TRACES;

    type Response = ExportTraceServiceResponse;

    fn accept(self, store: &SpanStore, skipped: SkippedRecords) -> Self::Response {
        let rejected = store.add_spans(self.resource_spans, skipped.count);
        let partial = partial_success(
            skipped,
            rejected,
            "a span has an invalid id: expected a trace id of 16 bytes and a span id of 8 bytes, not \
             all zero",
        );
        let partial_success = partial.map(|partial| ExportTracePartialSuccess {
            rejected_spans: to_count(partial.rejected),
            error_message: partial.reason,
        });
        ExportTraceServiceResponse { partial_success }
    }
}

impl ExportRequest for ExportMetricsServiceRequest {
    const SCHEMA: &'static Schema = &json::METRICS;

    type Response = ExportMetricsServiceResponse;

    fn accept(self, store: &SpanStore, skipped: SkippedRecords) -> Self::Response {
        let rejected = store.add_metrics(self.resource_metrics);
        let partial = partial_success(skipped, rejected, "a metric has no name");
        let partial_success = partial.map(|partial| ExportMetricsPartialSuccess {
            rejected_data_points: to_count(partial.rejected),
            error_message: partial.reason,
        });
        ExportMetricsServiceResponse { partial_success }
    }
}

impl ExportRequest for ExportLogsServiceRequest {
    const SCHEMA: &'static Schema = &json::LOGS;

    type Response = ExportLogsServiceResponse;

    fn accept(self, store: &SpanStore, skipped: SkippedRecords) -> Self::Response {
        let rejected = store.add_logs(&self.resource_logs);
        let partial = partial_success(
            skipped,
            rejected,
            "a log record has an invalid id: expected none, or a trace id of 16 bytes and a span id \
             of 8 bytes",
        );
        let partial_success = partial.map(|partial| ExportLogsPartialSuccess {
            rejected_log_records: to_count(partial.rejected),
            error_message: partial.reason,
        });
        ExportLogsServiceResponse { partial_success }
    }
}

/// Converts a count to the type of protobuf's field.
fn to_count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Number of rejected records, and the reason.
struct PartialSuccess {
    rejected: u64,
    reason: String,
}

/// Combines the skipped records with those that the store rejected for `rejection_reason`, and logs
/// a warning. Returns `None` if all records were accepted.
fn partial_success(
    skipped: SkippedRecords,
    rejected: u64,
    rejection_reason: &str,
) -> Option<PartialSuccess> {
    let rejection_reason = (rejected > 0).then(|| rejection_reason.to_owned());
    let reasons = skipped.reason.into_iter().chain(rejection_reason);
    let reason = reasons.collect::<Vec<_>>().join("; ");
    if reason.is_empty() {
        return None;
    }
    let rejected = skipped.count + rejected;
    tracing::warn!(rejected, reason, "OTLP request partially accepted");
    Some(PartialSuccess { rejected, reason })
}
