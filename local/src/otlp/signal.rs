//! The three signals: what is sent, what is answered, and where it goes.

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
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
            rejected_spans: i64::try_from(rejected).unwrap_or(i64::MAX),
            error_message: "a trace id has 16 bytes and a span id 8, not all of them zero"
                .to_owned(),
        });
        ExportTraceServiceResponse { partial_success }
    }
}

impl Export for ExportMetricsServiceRequest {
    type Answer = ExportMetricsServiceResponse;

    fn accept(self, store: &SpanStore) -> Self::Answer {
        store.count_metrics();
        ExportMetricsServiceResponse::default()
    }
}

impl Export for ExportLogsServiceRequest {
    type Answer = ExportLogsServiceResponse;

    fn accept(self, store: &SpanStore) -> Self::Answer {
        store.count_logs();
        ExportLogsServiceResponse::default()
    }
}
