//! OpenTelemetry for SQS producers and consumers on AWS: configured by the standard variables,
//! propagated exactly as W3C specifies, and flushed by a deadline.
//!
//! ```no_run
//! use baton_telemetry::{ServiceInfo, Telemetry};
//! use std::time::Duration;
//! use tokio::time::Instant;
//!
//! # async fn run() {
//! let telemetry = Telemetry::init(ServiceInfo { name: "orders", version: Some("1.0.0") }).await;
//! let tracer = telemetry.tracer("orders", "1.0.0");
//! // … spans …
//! telemetry.flush(Instant::now() + Duration::from_secs(1)).await;
//! # }
//! ```
//!
//! A span is encoded when it ends and kept in a bounded buffer, without a thread or a queue. A
//! flush sends the buffer over a persistent HTTP/1.1 connection that the caller's own task drives,
//! so that nothing runs when Lambda freezes the process. (Only resolving a host name other than
//! `localhost` uses a thread of tokio.) If several invocations run in one process, each has a
//! [`FlushGroup`], and its flush waits for its own spans only.
//!
//! # Environment
//!
//! An empty variable counts as unset, and keywords are not case-sensitive. An invalid variable does
//! not stop the program: one log line names it, the expected form and the value (unless it may be
//! secret), and the default applies, or the signal is not exported. An unknown value (`http/json`,
//! `zipkin`, and `grpc` without that feature) counts as unset, as OpenTelemetry's configuration
//! specification requires; for a variable of one signal, the general variable then applies.
//! (`baton-lambda` checks the `BATON_*` variables first and fails on invalid ones.)
//!
//! | Variable | Meaning | Default |
//! |---|---|---|
//! | `OTEL_SDK_DISABLED` | `true`: no spans, no metrics, and logs on stdout only; an incoming trace context is propagated unchanged | `false` |
//! | `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER` | `otlp`, `console` (OTLP/JSON lines on stdout), both as `otlp,console`, or `none` | `otlp` |
//! | `OTEL_LOGS_EXPORTER` | `otlp` or `none`; `console` is the same as `none`, because every line is on stdout anyway | `none` |
//! | `OTEL_SERVICE_NAME` | `service.name` | the function's name, or [`ServiceInfo::name`] |
//! | `OTEL_RESOURCE_ATTRIBUTES` | `key=value,…`, percent-encoded; `deployment.environment` also sets `deployment.environment.name` | |
//! | `CX_APPLICATION`, else `CX_APPLICATION_NAME` | `cx.application.name`, for Coralogix | |
//! | `CX_SUBSYSTEM`, else `CX_SUBSYSTEM_NAME` | `cx.subsystem.name`, for Coralogix | |
//! | `OTEL_PROPAGATORS` | list of `tracecontext`, `baggage` and `xray`, or `none`; `xray-lambda` is not supported, because the span that it refers to belongs to X-Ray | `tracecontext,baggage` |
//! | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | the six standard samplers | `parentbased_always_on` |
//! | `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, `OTEL_SPAN_EVENT_COUNT_LIMIT` | limit for one span | `128` |
//! | `OTEL_SPAN_LINK_COUNT_LIMIT` | limit for one span | unlimited |
//! | `OTEL_BSP_SCHEDULE_DELAY` | time between two exports in the background, in milliseconds, at least 10 | `5000` |
//! | `OTEL_METRIC_EXPORT_INTERVAL` | time between two exports of metrics in the background, in milliseconds, at least 10 | `60000` |
//! | `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` | `delta`, `cumulative` or `lowmemory` | `delta`, because only deltas of short-lived processes add up |
//! | `OTEL_BSP_MAX_QUEUE_SIZE`, `BATON_SPAN_BUFFER_BYTES` | maximum number of buffered spans, and their maximum total size in bytes | `50000`, 32 MiB |
//! | `OTEL_BLRP_MAX_QUEUE_SIZE`, `BATON_LOG_BUFFER_BYTES` | maximum number of buffered log records, and their maximum total size in bytes | `20000`, 8 MiB |
//! | `BATON_METRIC_BUFFER_BYTES` | maximum total size of buffered metrics, in bytes | 1 MiB |
//! | `BATON_SPILL` | `stdout`: spans that the collector does not accept are written there, for `baton replay`; `none`: they stay in the buffer, within its bounds | `stdout` |
//! | `BATON_SPILL_LINE_BYTES` | maximum length in bytes of a line written there, including its line break, from 1024 to 262118; container runtimes split lines at 16 KiB | `262118` on Lambda, `16383` elsewhere |
//! | `OTEL_EXPORTER_OTLP_HEADERS_SECRET` | reference to a secret with more headers for all signals, which take precedence over the others; requires a [`HeaderSource`], which is called at start, and again after a 401 or 403 | |
//! | `RUST_LOG` | a level, or a list of `target=level` and a level for other targets; a word without `=` must be a level, so all events of a target are `target=trace`; an invalid value means `info` | `AWS_LAMBDA_LOG_LEVEL` |
//! | `AWS_LAMBDA_LOG_LEVEL` | one of Lambda's levels; `FATAL` means `error` | `info` |
//! | `AWS_LAMBDA_LOG_FORMAT` | `JSON` or `Text` | `JSON`, even if Lambda's own format is text |
//!
//! OpenTelemetry's own crates (targets `opentelemetry…`) log warnings at most, unless `RUST_LOG`
//! names them.
//!
//! ## The collector
//!
//! These variables apply to all signals. Those for one signal, `OTEL_EXPORTER_OTLP_TRACES_…`,
//! `OTEL_EXPORTER_OTLP_METRICS_…` and `OTEL_EXPORTER_OTLP_LOGS_…`, take precedence.
//!
//! | Variable | Meaning | Default |
//! |---|---|---|
//! | `OTEL_EXPORTER_OTLP_PROTOCOL` | `http/protobuf`, or `grpc` with the feature `grpc` | depends on the endpoint |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | URL of the collector | `http://localhost:4318`, for `grpc` `http://localhost:4317` |
//! | `OTEL_EXPORTER_OTLP_INSECURE` | `true`: an endpoint without a scheme means no TLS | `false` |
//! | `OTEL_EXPORTER_OTLP_HEADERS` | `name=value,…`; values are percent-decoded and may contain spaces. Headers of one signal are added to those for all | |
//! | `OTEL_EXPORTER_OTLP_COMPRESSION` | `gzip` or `none` | `none` |
//! | `OTEL_EXPORTER_OTLP_TIMEOUT` | time limit of one request in milliseconds, in addition to the deadline of its flush; `0` means no limit | `10000` |
//! | `OTEL_EXPORTER_OTLP_CERTIFICATE` | PEM file with the only certificate authorities to trust | the public ones, compiled in |
//! | `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE`, `OTEL_EXPORTER_OTLP_CLIENT_KEY` | PEM files with the client's certificate and key; both or neither | none |
//! | `HTTPS_PROXY` | HTTP proxy for `https` endpoints (`CONNECT`), as `http://user:password@host:port`; for all signals | none |
//! | `NO_PROXY` | list of hosts that are reached directly: `*`, a domain including its subdomains, an address (each with an optional port), or a network (`10.0.0.0/8`) | |
//!
//! If the protocol is not set, it depends on the endpoint:
//!
//! | Endpoint | Protocol |
//! |---|---|
//! | port 4317, with or without a scheme | `grpc` |
//! | without a scheme, such as `ingress.eu2.coralogix.com:443` | `grpc` over TLS; port 4318 means `http/protobuf` |
//! | anything else | `http/protobuf` |
//!
//! Over `http/protobuf` the endpoint for all signals is a base URL, to which `/v1/traces`,
//! `/v1/metrics` or `/v1/logs` is added. The endpoint of one signal is used unchanged. Over `grpc`
//! endpoints have no path. If an endpoint, a certificate or a proxy is set but cannot be used, the
//! signal is not exported, because telemetry, and perhaps keys, must not be sent elsewhere.
//!
//! The lower-case proxy variables are read if the upper-case ones are not set. Loopback endpoints
//! (`localhost`, `127.0.0.0/8`, `::1`) and `http` endpoints never use a proxy: `HTTP_PROXY` and
//! `ALL_PROXY` are not read. The proxy's own URL must use `http`. AWS SDK clients, such as the one
//! for `OTEL_EXPORTER_OTLP_HEADERS_SECRET`, follow the SDK's rules.
//!
//! ## The resource
//!
//! The resource describes the process. Its sources, in ascending order of precedence, are
//! [`ServiceInfo`], the platform, `OTEL_RESOURCE_ATTRIBUTES`, and the variables for a single
//! attribute. The platform is detected from these variables, which it or its manifests set:
//!
//! | Platform | Variables |
//! |---|---|
//! | Lambda | `AWS_LAMBDA_FUNCTION_NAME`, `AWS_LAMBDA_FUNCTION_VERSION`, `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`, `AWS_LAMBDA_LOG_GROUP_NAME`, `AWS_LAMBDA_LOG_STREAM_NAME`, `AWS_REGION` |
//! | ECS | `ECS_CONTAINER_METADATA_URI_V4`; the metadata endpoint has one second to respond |
//! | Kubernetes, with the names that the OpenTelemetry Operator injects, and similar ones | `OTEL_RESOURCE_ATTRIBUTES_POD_NAME`, `OTEL_RESOURCE_ATTRIBUTES_POD_UID`, `OTEL_RESOURCE_ATTRIBUTES_POD_IP`, `OTEL_RESOURCE_ATTRIBUTES_POD_NAMESPACE`, `OTEL_RESOURCE_ATTRIBUTES_NODE_NAME`, `OTEL_RESOURCE_ATTRIBUTES_DEPLOYMENT_NAME`, `OTEL_RESOURCE_ATTRIBUTES_CONTAINER_NAME` |
//! | Kubernetes, with the names that charts use | `K8S_POD_NAME`, `K8S_POD_UID`, `K8S_POD_IP`, `K8S_NAMESPACE_NAME`, else `K8S_NAMESPACE`, `K8S_NODE_NAME`, `K8S_DEPLOYMENT_NAME`, `K8S_CONTAINER_NAME`, `K8S_CLUSTER_NAME` |
//! | Kubernetes, if `KUBERNETES_SERVICE_HOST` is set | `POD_NAME`, else `HOSTNAME` (the node's, with `hostNetwork`), `POD_UID`, `POD_IP`, `POD_NAMESPACE`, `NODE_NAME`, `CONTAINER_NAME`, `CLUSTER_NAME` |
//!
//! `service.instance.id` is Lambda's log stream, the namespace, pod and container on Kubernetes, or
//! the container of the ECS task, and random elsewhere. It is unique among the processes of the
//! service, so that a backend never merges the metrics of two processes.
//!
//! # Log lines
//!
//! Each `tracing` event is one line on stdout, as JSON or as text, with these keys in this order:
//!
//! | Key | Value |
//! |---|---|
//! | `timestamp`, `level`, `target`, `message` | those of the event |
//! | the field's name | each field of the event |
//! | the field's name | each of the message's [`MessageFields`] |
//! | the field's name | each field of the `tracing` spans around the event (`#[instrument]`, `info_span!`), the innermost span first, with the last value that [`Span::record`](tracing::Span::record) set |
//! | `trace_id`, `span_id` | those of the active OpenTelemetry span |
//! | `requestId`, `messageId` | those of the invocation and the message, from [`with_request_id`] and [`with_message_id`] |
//!
//! Span fields are at the top level like event fields, so that one query, such as `filter order_id
//! = 7` in CloudWatch Logs Insights, finds a value wherever it was set. A key that is already taken
//! gets a prefix, repeatedly if necessary, so that no field hides another. The other keys of the
//! table have priority, then the event's fields (prefix as in `field.level`), then the message's
//! fields (prefix as in `message.order_id`), then span fields, innermost first (prefix as in
//! `span.order_id`). String values of spans are cut after 4 KiB, because every line repeats them.
//! Spans of libraries (the AWS SDK, hyper, `lambda_runtime` …) add no fields.
//!
//! An event logged without an active OpenTelemetry context, as in a task spawned with
//! `.in_current_span()`, takes its ids from the innermost `tracing` span around it: the ids that
//! were active when that span was created.
//!
//! An OTLP log record has the same fields as attributes, with the ids as `faas.invocation_id` and
//! `messaging.message.id`, unless the event itself has a field of that name.
//!
//! `#[instrument]` records every argument with `Debug` on the span, and therefore on each line
//! inside it. To keep message bodies and personal data out, write `#[instrument(skip_all,
//! fields(order.id = order.id))]`.
//!
//! # If the collector fails
//!
//! A request succeeds if the collector responds with a 2xx status and a complete
//! `Export…ServiceResponse`, in protobuf or JSON; an empty body counts as one. A web page with
//! status 200, JSON with members but without `partialSuccess`, and a body that is cut off or late,
//! are failures: the warning states status and content type. Over gRPC, the status in the trailers
//! decides. The warning about a rejection, such as 400, includes up to 200 bytes of the collector's
//! own message.
//!
//! A response that does not depend on the request's content (404, 405, 410, 415, 421, 426, 501,
//! 505, a redirect, `UNIMPLEMENTED`, a response in another protocol) indicates a wrong endpoint:
//! the spans are kept or spilled, not dropped, and the warning states the target of a redirect and
//! the probable mistake, such as a base URL with `/v1/traces`. Redirects are not followed.
//!
//! A request that fails temporarily is retried once: immediately, or after the collector's
//! `Retry-After` if the flush has enough time. Spans that are still not accepted are written to
//! stdout, see [`spill`], and so are those that the collector rejects permanently. A service that
//! exports in the background keeps them until its buffer is half full or the process shuts down.
//! After two consecutive requests that time out, or five that fail immediately or are rejected, the
//! circuit breaker opens: the collector is not contacted for ten seconds and then probed with one
//! request. Each failed probe doubles the pause, up to two minutes. Metrics and log records are
//! never spilled. They stay buffered within their bounds, and those left at shutdown are dropped
//! and counted.
//!
//! Each loss, and each opening of a circuit breaker, is reported immediately by one line in
//! CloudWatch's embedded metric format. The namespace is `Baton`. The dimensions are `ServiceName`
//! (`service.name`) and, if it is set, `Environment` (`deployment.environment.name`). The metrics
//! are `SpansSpilled`, `SpansDropped`, `SpansPending` (spans that a failed export left in the
//! buffer), `LogRecordsDropped`, `MetricPointsDropped` and `CircuitBreakerOpenings` (of all
//! signals). Except for the pending spans, they count what has happened since the previous line.
//!
//! # Your own OpenTelemetry
//!
//! [`TelemetryBuilder`] takes exporters, a sampler, span processors, a resource, an id generator
//! and propagators that the program provides. A flush awaits the exporter until its deadline, and
//! the buffers, the circuit breaker, the spill and the counts work as described above. The client
//! of the exporter decides whether it works; the guide `docs/your-own-opentelemetry.md` has the
//! complete table with measurements:
//!
//! | Exporter and client | Works | If the collector fails |
//! |---|---|---|
//! | `span_exporter` with hyper, `reqwest::Client` or tonic | yes, on one thread | spilled, within the budget |
//! | `span_exporter` or `metric_exporter` with `reqwest::blocking::Client`, the default of `opentelemetry-otlp` | no: [invalid](InvalidExporter), an error at start | |
//! | [`from_providers`](Telemetry::from_providers), `BatchSpanProcessor` with a blocking client or tonic | yes, on more threads | lost, within the budget |
//! | `from_providers`, processor of `rt-tokio-current-thread` with hyper or tonic | yes, on more threads | lost, within the budget |
//! | `from_providers`, `BatchSpanProcessor` with hyper or `reqwest::Client` | no: every span is lost | |
//!
//! # Metrics
//!
//! The counts of a flush are exported by the next flush that has something to send.
//!
//! | Metric | Kind | Unit | Meaning |
//! |---|---|---|---|
//! | `baton.telemetry.spans` | counter | `{span}` | finished spans by `baton.telemetry.outcome`: `exported`, `spilled` or `dropped` |
//! | `baton.telemetry.spans.pending` | gauge | `{span}` | finished spans that have not been exported, spilled or dropped, including those in flight |
//! | `baton.telemetry.log_records` | counter | `{record}` | log records by `baton.telemetry.outcome`: `exported` or `dropped` |
//! | `baton.telemetry.log_records.pending` | gauge | `{record}` | log records that have not been exported or dropped, including those in flight |
//! | `baton.telemetry.metric_points` | counter | `{point}` | dropped data points: `baton.telemetry.outcome` is `dropped` |
//! | `baton.telemetry.circuit_breaker.open` | gauge | `{circuit_breaker}` | 1 while the circuit breaker of `baton.telemetry.signal` is open, otherwise 0 |
//! | `baton.telemetry.circuit_breaker.openings` | counter | `{opening}` | times that this circuit breaker has opened; a failed probe does not count |
//!
//! Each signal has its own circuit breaker: `baton.telemetry.signal` is `traces`, `metrics` or
//! `logs`. If the collector accepts metrics but not spans or log records, the gauge is 1 in every
//! export during the outage. If the whole collector fails, no metric arrives until it recovers. The
//! gauge may be 0 again by then, but the counter shows the outage. For an alarm during the outage,
//! use `CircuitBreakerOpenings` in CloudWatch.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod buffer;
mod config;
mod error_chain;
mod export;
mod hex;
mod logs;
mod metrics;
mod otlp;
mod output;
mod panics;
mod propagation;
mod resource;
mod scratch;
mod telemetry;
mod transport;

pub use buffer::FlushGroup;
pub use error_chain::ErrorChain;
#[cfg(feature = "replay")]
pub use export::replay;
pub use export::{
    ExportCounts, HeaderSource, HeadersFuture, InvalidExporter, InvalidHeaders, OpenHeaderSource,
    parse_headers, spill,
};
#[cfg(feature = "tracing")]
pub use logs::tracing_layer;
pub use logs::{
    LogLayer, MessageFields, log_layer, message_id, request_id, with_message, with_message_id,
    with_request_id,
};
pub use panics::panic_text;
pub use propagation::{
    AWS_TRACE_HEADER, AdditionalPropagators, BAGGAGE, BoxedPropagator, InvalidBaggage,
    InvalidTraceparent, InvalidTracestate, InvalidXrayHeader, Propagator, TRACEPARENT, TRACESTATE,
    XRAY_TRACE_ID_HEADER, XrayContext, check_baggage, parse_trace_context,
    parse_trace_context_with, parse_xray_header, with_baggage, with_remote_parent,
};
pub use resource::ServiceInfo;
pub use telemetry::{FlushReport, Telemetry, TelemetryBuilder};
/// Crates whose types appear in this crate's public API, in matching versions. Use OpenTelemetry's
/// globals from here: each minor version has separate ones.
#[doc(no_inline)]
pub use {opentelemetry, opentelemetry_sdk, tracing, tracing_subscriber};
