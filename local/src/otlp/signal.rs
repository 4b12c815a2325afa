//! The three signals: what is sent, what is answered, and where it goes.

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

use super::json::{self, Schema, Unreadable};
use super::store::SpanStore;

/// An OTLP export request, which knows how the store takes it.
pub(super) trait Export: Message + Default + 'static {
    /// The request in JSON.
    const SCHEMA: &'static Schema;

    /// What a request of this signal is answered with.
    type Answer: Message + Default + Serialize;

    /// Adds the request to the store. `unreadable` describes the records already left out of it.
    fn accept(self, store: &SpanStore, unreadable: Unreadable) -> Self::Answer;
}

impl Export for ExportTraceServiceRequest {
    const SCHEMA: &'static Schema = &json::TRACES;

    type Answer = ExportTraceServiceResponse;

    fn accept(self, store: &SpanStore, unreadable: Unreadable) -> Self::Answer {
        let refused = store.add(self.resource_spans, unreadable.records);
        let partial = partial_success(
            unreadable,
            refused,
            "a trace id has 16 bytes and a span id 8, not all of them zero",
        );
        let partial_success = partial.map(|partial| ExportTracePartialSuccess {
            rejected_spans: number(partial.rejected),
            error_message: partial.reason,
        });
        ExportTraceServiceResponse { partial_success }
    }
}

impl Export for ExportMetricsServiceRequest {
    const SCHEMA: &'static Schema = &json::METRICS;

    type Answer = ExportMetricsServiceResponse;

    fn accept(self, store: &SpanStore, unreadable: Unreadable) -> Self::Answer {
        let refused = store.add_metrics(self.resource_metrics);
        let partial = partial_success(unreadable, refused, "a metric has a name");
        let partial_success = partial.map(|partial| ExportMetricsPartialSuccess {
            rejected_data_points: number(partial.rejected),
            error_message: partial.reason,
        });
        ExportMetricsServiceResponse { partial_success }
    }
}

impl Export for ExportLogsServiceRequest {
    const SCHEMA: &'static Schema = &json::LOGS;

    type Answer = ExportLogsServiceResponse;

    fn accept(self, store: &SpanStore, unreadable: Unreadable) -> Self::Answer {
        let refused = store.add_logs(&self.resource_logs);
        let partial = partial_success(
            unreadable,
            refused,
            "a log record's trace id has 16 bytes and its span id 8, if it has any",
        );
        let partial_success = partial.map(|partial| ExportLogsPartialSuccess {
            rejected_log_records: number(partial.rejected),
            error_message: partial.reason,
        });
        ExportLogsServiceResponse { partial_success }
    }
}

/// A count as the wire has it.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Number of records that a request lost, and the reason.
struct Partial {
    rejected: u64,
    reason: String,
}

/// Combines the unreadable records with those that violate `rule`, and logs a warning. Returns
/// `None` if all records were accepted.
fn partial_success(unreadable: Unreadable, refused: u64, rule: &str) -> Option<Partial> {
    let rule = (refused > 0).then(|| rule.to_owned());
    let reasons = unreadable.reason.into_iter().chain(rule);
    let reason = reasons.collect::<Vec<_>>().join("; ");
    if reason.is_empty() {
        return None;
    }
    let rejected = unreadable.records + refused;
    tracing::warn!(rejected, reason, "OTLP request partially accepted");
    Some(Partial { rejected, reason })
}
