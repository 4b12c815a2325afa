//! OpenTelemetry for SQS producers and consumers on AWS: set up from the standard variables, propagated to the letter, and flushed with a
//! deadline.
//!
//! ```no_run
//! use baton_telemetry::{Service, Telemetry};
//! use std::time::Duration;
//! use tokio::time::Instant;
//!
//! # async fn run() {
//! let telemetry = Telemetry::init(Service { name: "orders", version: Some("1.0.0") }).await;
//! let tracer = telemetry.tracer("orders", "1.0.0");
//! // … spans …
//! telemetry.flush(Instant::now() + Duration::from_secs(1)).await;
//! # }
//! ```
//!
//! A finished span is encoded at once and kept in a bounded buffer of the process; there is no thread and no queue behind it. A flush
//! sends the buffer over a kept HTTP/1.1 connection that the caller's own task drives, so that nothing is left running when Lambda
//! freezes the process. (A new connection to a host name, other than `localhost`, asks the system's resolver on a thread of tokio's.)
//! Where several invocations run in one process, each has a [`FlushGroup`], and its flush waits for its own spans only.
//!
//! # Environment
//!
//! An empty variable counts as unset. What is wrong gives one line in the log, then the default or no export.
//!
//! | Variable | Meaning | Default |
//! |---|---|---|
//! | `OTEL_SDK_DISABLED` | `true`: no traces | `false` |
//! | `OTEL_TRACES_EXPORTER` | `otlp` or `none` | `otlp` |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | base URL, `/v1/traces` is added; without a scheme TLS is meant | `http://localhost:4318` |
//! | `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` | the whole URL, used as it is | |
//! | `OTEL_EXPORTER_OTLP_INSECURE` | `true`: an endpoint without a scheme means plain HTTP | `false` |
//! | `OTEL_EXPORTER_OTLP_PROTOCOL`, `…_TRACES_PROTOCOL` | `http/protobuf` | `http/protobuf` |
//! | `OTEL_EXPORTER_OTLP_HEADERS`, `…_TRACES_HEADERS` | `name=value,…`; values are percent-decoded and may contain spaces | |
//! | `OTEL_EXPORTER_OTLP_HEADERS_SECRET` | refers to more headers, which win: see [`HeaderSource`] | |
//! | `OTEL_EXPORTER_OTLP_COMPRESSION`, `…_TRACES_COMPRESSION` | `none` | `none` |
//! | `OTEL_EXPORTER_OTLP_TIMEOUT`, `…_TRACES_TIMEOUT` | of one request, in milliseconds | `10000` |
//! | `OTEL_SERVICE_NAME` | `service.name` | the function's name, or what the program says |
//! | `OTEL_RESOURCE_ATTRIBUTES` | `key=value,…`, percent-encoded | |
//! | `OTEL_TRACES_SAMPLER`, `…_ARG` | the six standard samplers | `parentbased_always_on` |
//! | `OTEL_PROPAGATORS` | of `tracecontext`, `baggage`, `xray`, `none`; `xray-lambda` is not taken, for the span that it names is X-Ray's own | `tracecontext,baggage` |
//! | `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, `OTEL_SPAN_EVENT_COUNT_LIMIT` | of one span | `128` |
//! | `OTEL_SPAN_LINK_COUNT_LIMIT` | of one span | unlimited |
//! | `OTEL_BSP_MAX_QUEUE_SIZE` | spans that the buffer holds | `50000` |
//! | `BATON_SPAN_BUFFER_BYTES` | bytes that the buffer holds | 32 MiB |
//! | `OTEL_BSP_SCHEDULE_DELAY` | between two exports in the background, in milliseconds, at least 10 | `5000` |
//! | `RUST_LOG` | level, or list of `target=level` and a level for the rest; a word without `=` must be a level: all of a target is `target=trace` | `AWS_LAMBDA_LOG_LEVEL` |
//! | `AWS_LAMBDA_LOG_LEVEL` | one of Lambda's levels, where `FATAL` means `error` | `info` |
//!
//! OpenTelemetry's own crates (targets `opentelemetry…`) log warnings at most, unless `RUST_LOG` names them.
//!
//! What Lambda and ECS set describes the resource: `AWS_LAMBDA_FUNCTION_NAME`, `…_VERSION` and `…_MEMORY_SIZE`, `AWS_LAMBDA_LOG_GROUP_NAME`
//! and `…_STREAM_NAME`, `AWS_REGION`; `ECS_CONTAINER_METADATA_URI_V4`, which is asked for at most a second.

mod accounting;
mod breaker;
mod buffer;
mod config;
mod encode;
mod endpoint;
mod export;
mod group;
mod header_source;
mod http;
mod logs;
mod metrics;
mod otlp_json;
mod output;
mod propagation;
mod resource;
mod signal;
#[cfg(test)]
mod sink;
mod spill;
mod telemetry;
#[cfg(feature = "tracing")]
mod tracing_layer;
mod transport;
mod uplink;

pub use export::Sent;
pub use group::FlushGroup;
pub use header_source::{Fetching, HeaderSource, InvalidHeaders, OpenHeaderSource, parse_headers};
pub use propagation::{
    AWS_TRACE_HEADER, BAGGAGE, InvalidBaggage, InvalidTraceparent, InvalidTracestate,
    InvalidXrayHeader, Propagator, TRACEPARENT, TRACESTATE, XRAY_TRACE_ID_HEADER, XrayContext,
    check_baggage, parse_trace_context, parse_trace_context_noting, parse_xray_header,
    with_baggage, with_remote_parent,
};
pub use telemetry::{Builder, FlushReport, Service, Telemetry};
#[cfg(feature = "tracing")]
pub use tracing_layer::tracing_layer;
