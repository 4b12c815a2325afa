//! OTLP receiver that keeps received spans in memory.
//!
//! It accepts traces, metrics and logs over gRPC ([`serve_grpc`]) and over HTTP ([`serve_http`]),
//! as a collector does. A [`SpanStore`] holds the spans, the names of the received metrics, and the
//! number of log records.
//!
//! JSON is read according to protobuf's JSON mapping, which is tolerant. The receiver skips records
//! that it cannot read or that lack valid ids, counts them in the response's `partialSuccess` with
//! the path of the first one, and logs a warning.
//!
//! Requests for a host that is not this machine are rejected with 421, unless
//! [`ReceiverConfig::allowed_hosts`] contains it.
//!
//! # Spans
//! `GET /api/spans` on the HTTP port returns all stored spans, and `GET /api/spans?trace_id=…`
//! those of one trace, in the order of arrival:
//!
//! ```json
//! {"received": 1, "rejected": 0, "dropped": 0, "metrics": 0, "logs": 0, "spans": [{
//!   "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
//!   "parent_span_id": null, "parent_is_remote": null, "trace_state": "", "name": "POST /onboarding", "kind": "SERVER",
//!   "start_unix_nano": 1796000000000000000, "end_unix_nano": 1796000000004200000,
//!   "attributes": {"http.response.status_code": 202},
//!   "links": [{"trace_id": "…", "span_id": "…", "attributes": {}}],
//!   "events": [{"name": "exception", "time_unix_nano": 1796000000001000000, "attributes": {}}],
//!   "status": {"code": "UNSET", "message": ""}, "scope": "baton-producer", "resource": {"service.name": "onboarding-api"}}]}
//! ```
//!
//! - `received`, `rejected` and `dropped` count spans of all traces: accepted spans (a span that is
//!   sent twice counts twice), spans rejected because they have no valid id, and spans that were
//!   removed to store newer ones. `metrics` and `logs` count the received data points and log
//!   records.
//! - `parent_is_remote` is `null` if the sender did not say; `parent_span_id` is `null` for a root
//!   span.
//! - `kind` is one of `UNSPECIFIED`, `INTERNAL`, `SERVER`, `CLIENT`, `PRODUCER`, `CONSUMER`; the
//!   status `code` is one of `UNSET`, `OK`, `ERROR`.
//! - Attributes are plain JSON: integers and doubles are numbers, bytes are base64.
//!
//! # Metrics
//! `GET /api/metrics` on the same port returns each metric of each service, without its values:
//!
//! ```json
//! {"metrics": [{"service": "onboarding-lambda", "name": "messaging.process.duration", "unit": "s", "kind": "HISTOGRAM", "points": 7}]}
//! ```

mod config;
mod grpc;
mod http;
mod json;
mod metric;
mod signal;
mod span;
mod store;

pub use config::ReceiverConfig;
pub use grpc::serve_grpc;
pub use http::serve_http;
pub use metric::{MetricKind, StoredMetric};
pub use span::{SpanEvent, SpanKind, SpanLink, SpanStatus, SpanStatusCode, StoredSpan};
pub use store::{SpanStore, Totals};

/// Tests of the receiver over real sockets, with real clients.
#[cfg(test)]
mod tests;
