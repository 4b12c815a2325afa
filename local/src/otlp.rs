//! An OTLP receiver that keeps the spans it is sent in memory.
//!
//! Traces, metrics and logs are accepted over gRPC ([`serve_grpc`]) and over HTTP ([`serve_http`])
//! as a collector accepts them. Spans are kept in a [`SpanStore`], which also knows which metrics
//! arrived, and counts log records.
//!
//! JSON is read by the tolerant rules of protobuf's JSON mapping. Records that cannot be read or
//! lack valid ids are left out; the response's `partialSuccess` counts them and states the path of
//! the first one, and a warning is logged.
//!
//! Requests for a host that is not this machine are refused with 421, unless
//! [`Config::allowed_hosts`] contains it.
//!
//! # Reading the spans
//! `GET /api/spans` on the HTTP port answers with everything kept, `GET /api/spans?trace_id=…` with
//! one trace, in the order of arrival:
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
//! - `received`, `rejected` and `dropped` are totals over all traces: spans that arrived (a span
//!   sent twice counts twice), spans refused because they have no usable id, and spans that had to
//!   make room for newer ones. `metrics` and `logs` are the data points and log records that
//!   arrived.
//! - `parent_is_remote` is `null` when the sender did not say; `parent_span_id` is `null` for a
//!   root.
//! - `kind` is one of `UNSPECIFIED`, `INTERNAL`, `SERVER`, `CLIENT`, `PRODUCER`, `CONSUMER`; the
//!   status `code` one of `UNSET`, `OK`, `ERROR`.
//! - Attributes are plain JSON: integers and doubles are numbers, bytes are base64.
//!
//! # Which metrics arrived
//! `GET /api/metrics` on the same port answers with each metric of each service, its values aside:
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

pub use config::Config;
pub use grpc::serve_grpc;
pub use http::serve_http;
pub use metric::{Metric, MetricKind};
pub use span::{Span, SpanEvent, SpanKind, SpanLink, SpanStatus, SpanStatusCode};
pub use store::{SpanStore, Totals};

/// What is asked of the receiver over real sockets, with real clients.
#[cfg(test)]
mod tests;
