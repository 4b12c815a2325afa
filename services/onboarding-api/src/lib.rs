//! The onboarding API: `POST /onboarding`, `POST /telemetry/smoke`, `GET /healthz`, `GET /readyz`.
//!
//! Every refusal is a problem document (RFC 9457, `application/problem+json`) that names the field
//! at fault. No answer, log line or span shows an e-mail address.
//!
//! The package is a service and not a library: the modules are in a library target so that its
//! tests can serve the API in their own process.
//!
//! # Layout
//!
//! | module | content |
//! |---|---|
//! | `serve` | the listener, its connections, and the shutdown |
//! | `routes` | the routes and their handlers |
//! | `onboarding` | the fields of a request, and their checks |
//! | `problem` | refusals |
//! | `body` | the request body |
//! | `request_telemetry` | the middleware that traces and measures each request |
//! | `server_span` | the SERVER span of each request |
//! | `forwarded` | scheme, host and port from the headers of reverse proxies |
//! | `server_duration` | the duration of each request |
//! | `wire` | the JSON of answers and messages |
//!
//! The binary adds the environment (`config`) and the AWS client (`aws`).
//!
//! # Spans
//!
//! | span | kind | attributes |
//! |---|---|---|
//! | `{method} {route}` | SERVER | `http.request.method`, `http.route`, `url.path`, `url.scheme`, `server.address`, `server.port`, `http.response.status_code`; `error.type` for 5xx and for requests without an answer |
//!
//! Below it is the span `send {queue}` of `baton-producer`.
//!
//! `url.scheme`, `server.address` and `server.port` are the ones that the client used, even behind
//! a load balancer that terminates TLS. They come from the header `Forwarded`, else from
//! `X-Forwarded-Proto`, `X-Forwarded-Host` and `X-Forwarded-Port`, else from the request itself.
//!
//! A request whose client goes away before the answer ends its span with `error.type` `cancelled`.
//!
//! # Metrics
//!
//! | metric | unit | attributes |
//! |---|---|---|
//! | `http.server.request.duration` | `s` | `http.request.method`, `url.scheme`, `http.route` where there is one, `http.response.status_code` of answered requests, `error.type` for 5xx and for requests without an answer |
//!
//! and those of `baton-producer`. `url.scheme` is that of the span. Host and port are not
//! attributes: they come from headers, so any client could create new time series.
//!
//! `GET /healthz` and `GET /readyz` have neither span nor measurement: load balancers ask several
//! times a minute.
//!
//! # Log
//!
//! One line at INFO for each accepted request, `message accepted`, with `message_id` and
//! `trace_id`; `RUST_LOG=onboarding_api=warn,info` leaves it out.
//!
//! # Environment
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `QUEUE_URL` | required | URL of the queue that onboardings are sent to |
//! | `LISTEN_ADDR` | `0.0.0.0:8080` | socket address to serve on; the default suits a container, whose network namespace is its own |
//! | `SHUTDOWN_TIMEOUT` | `20` | seconds that accepted requests get to finish after SIGTERM or SIGINT; spans then get three more |
//! | `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_SQS`, credentials | as in every AWS SDK | a region is required |
//! | `OTEL_*` | as in the specification | see `baton-telemetry` |
//! | `OTEL_EXPORTER_OTLP_HEADERS_SECRET` | | ARN of a secret or parameter with headers of the export, such as one with a key; needs the feature `secrets`: see `baton-secrets` |
//!
//! Bad configuration is logged, one line per variable, and ends the process with exit code 78
//! (`EX_CONFIG`).

#![forbid(unsafe_code)]

mod serve;

mod routes;

mod onboarding;

mod problem;

mod body;

mod request_telemetry;

mod server_span;

mod forwarded;

mod server_duration;

mod wire;

pub use serve::{Config, Drain, run};
