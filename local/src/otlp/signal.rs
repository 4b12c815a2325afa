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
use serde::de::DeserializeOwned;

use super::store::SpanStore;

/// An OTLP export request, which knows how the store takes it.
pub(super) trait Export: Message + Default + DeserializeOwned + 'static {
    /// What a request of this signal is answered with.
    type Answer: Message + Default + Serialize;

    /// Hands the request to the store.
    fn accept(self, store: &SpanStore) -> Self::Answer;
}

impl Export for ExportTraceServiceRequest {
    type Answer = ExportTraceServiceResponse;

    fn accept(self, store: &SpanStore) -> Self::Answer {
        let rejected = store.add(self.resource_spans);
        let partial_success = (rejected > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: number(rejected),
            error_message: "a trace id has 16 bytes and a span id 8, not all of them zero"
                .to_owned(),
        });
        ExportTraceServiceResponse { partial_success }
    }
}

impl Export for ExportMetricsServiceRequest {
    type Answer = ExportMetricsServiceResponse;

    fn accept(self, store: &SpanStore) -> Self::Answer {
        let rejected = store.add_metrics(self.resource_metrics);
        let partial_success = (rejected > 0).then(|| ExportMetricsPartialSuccess {
            rejected_data_points: number(rejected),
            error_message: "a metric has a name".to_owned(),
        });
        ExportMetricsServiceResponse { partial_success }
    }
}

impl Export for ExportLogsServiceRequest {
    type Answer = ExportLogsServiceResponse;

    fn accept(self, store: &SpanStore) -> Self::Answer {
        let rejected = store.add_logs(&self.resource_logs);
        let partial_success = (rejected > 0).then(|| ExportLogsPartialSuccess {
            rejected_log_records: number(rejected),
            error_message: "a log record's trace id has 16 bytes and its span id 8, if it has any"
                .to_owned(),
        });
        ExportLogsServiceResponse { partial_success }
    }
}

/// A count as the wire has it.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
