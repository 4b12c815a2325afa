//! The onboarding API: `POST /onboarding`, `POST /onboarding/batch`, `POST /telemetry/smoke`,
//! `GET /openapi.json`, `GET /healthz`, `GET /readyz`.
//!
//! Every error response of the API is a problem document (RFC 9457, `application/problem+json`)
//! that names the invalid fields. No response, log line or span contains an e-mail address.
//!
//! The package is a service and not a library: the modules are in a library target so that its
//! tests can serve the API in their own process.
//!
//! # Layout
//!
//! | module | content |
//! |---|---|
//! | `serve` | the server: connections and shutdown |
//! | `routes` | the routes and their handlers |
//! | `batch` | several onboardings in one request |
//! | `queue` | the queue, and the log of sends |
//! | `readiness` | the check of the queue, at most once a second |
//! | `onboarding` | the fields of a request, and their checks |
//! | `problem` | error responses |
//! | `body` | the request body |
//! | `document` | JSON with the names of duplicate keys |
//! | `request_telemetry` | the middleware that identifies, traces, measures and limits each request |
//! | `repeated_events` | counts of log events that can occur with every request |
//! | `request_id` | the id of each request |
//! | `request_limits` | the limits of requests in progress |
//! | `server_span` | the SERVER span of each request |
//! | `forwarded` | scheme, host and port from the headers of reverse proxies |
//! | `server_duration` | the duration of each request |
//! | `openapi` | the description of the API |
//! | `wire` | the JSON of responses and messages |
//! | `profiling` | CPU profiles, with the feature `profiling` |
//!
//! The binary reads flags and variables (`config`), creates the AWS client (`aws`) and raises the
//! limit of file descriptors (`descriptors`).
//!
//! # Batches
//!
//! `POST /onboarding/batch` takes a JSON array of 1 to 100 onboardings, in a body of at most 64
//! KiB. Each item is checked and sent as if it were alone. The response has a result for each item,
//! in the same order: `status`, and `message_id` or `problem`, whose pointers are relative to the
//! item.
//!
//! ```json
//! {
//!   "trace_id": "0af7651916cd43dd8448eb211c80319c",
//!   "results": [
//!     {"status": 202, "message_id": "5fea7756-0ea4-451a-a703-a558b933e274"},
//!     {"status": 422, "problem": {"title": "The body's fields are invalid", "status": 422}}
//!   ]
//! }
//! ```
//!
//! The response's status is 202 if every item was accepted, as for a single onboarding. Otherwise
//! it is 207 (Multi-Status), also if no item was accepted. With 202, a client that reads only the
//! status would mistake a partial failure for a success. With 4xx or 5xx, a client that retries
//! these statuses would send the accepted items again. `retry-after` is set if an item has status
//! 503. Any other body is rejected as a whole, with a problem.
//!
//! The response is sent before `REQUEST_TIMEOUT`, even if SQS has not confirmed all messages. Items
//! without a result then have status 504, and their detail says whether the message may have been
//! sent. With the feature `gather`, items are sent in groups of ten, and a group that is incomplete
//! at that time has status 504 for all its items.
//!
//! # Spans
//!
//! | span | kind | attributes |
//! |---|---|---|
//! | `{method} {route}` | SERVER | `http.request.method`, `http.route`, `url.path`, `url.scheme`, `server.address`, `server.port`, `http.response.status_code`; `error.type` for 5xx and for requests without a response |
//!
//! Its children are spans `send {queue}` of `baton-producer`, one for each message. The calls to
//! SQS have no spans.
//!
//! `url.scheme`, `server.address` and `server.port` are those that the client used, even behind a
//! load balancer that terminates TLS. They are read from the header `Forwarded`, otherwise from
//! `X-Forwarded-Proto`, `X-Forwarded-Host` and `X-Forwarded-Port`, otherwise from the request.
//!
//! If the client disconnects before the response, `error.type` is `cancelled`.
//!
//! # Response headers
//!
//! | header | value |
//! |---|---|
//! | `x-request-id` | the caller's, if it has 1 to 128 letters, digits and `-_.:;=+/`; otherwise a new UUID. Log lines contain it as `request_id` |
//! | `server-timing` | the span as `traceparent;desc="00-{trace id}-{span id}-{flags}"`. Scripts read it from `PerformanceResourceTiming.serverTiming`; for pages of another origin, a proxy must add `timing-allow-origin` |
//!
//! Responses to health checks have neither.
//!
//! # Metrics
//!
//! | metric | unit | attributes |
//! |---|---|---|
//! | `http.server.request.duration` | `s` | `http.request.method`, `url.scheme`, `http.route` if a route matched, `http.response.status_code` if there was a response, `error.type` for 5xx and for requests without a response |
//!
//! The service also records the metrics of `baton-producer`. `url.scheme` is that of the span. Host
//! and port are not attributes: they come from headers, so any client could create time series.
//!
//! `GET /healthz` and `GET /readyz` are neither traced nor measured, because load balancers call
//! them several times a minute.
//!
//! # Log
//!
//! Each accepted request is logged at level INFO as `message accepted`, with `message_id`,
//! `request_id` and `trace_id`. `RUST_LOG=onboarding_api=warn,info` disables these lines.
//!
//! Warnings and errors that can occur with every request are counted. The first one with the same
//! message and `error_type` is written with its cause. The number of the others is written every
//! ten seconds and at shutdown, as `count`. The sum of `count` is the number of events.
//!
//! | line | level |
//! |---|---|
//! | `message not accepted` | WARN: SQS throttled, failed or did not respond; a retry may succeed |
//! | `message rejected` | ERROR: a person must act |
//! | `queue check failed` | WARN |
//! | `too many connections: closed the oldest idle ones` | WARN |
//! | `cannot accept a connection` | WARN |
//!
//! # Limits
//!
//! | limit | response beyond it |
//! |---|---|
//! | head of 32 KiB (up to 64 KiB if it arrives at once) or 100 headers | 431 without a body, and the connection is closed |
//! | head within 75 s after the previous response | the connection is closed |
//! | body of 64 KiB | 413; `expect: 100-continue` is not answered if `content-length` is larger |
//! | body within 10 s, or `REQUEST_TIMEOUT` minus 250 ms if that is shorter | 408 |
//! | requests in progress: `MAX_CONCURRENT_REQUESTS` | 503 with `retry-after`; health checks do not count, nor requests whose body has not been received |
//! | time until the response: `REQUEST_TIMEOUT` | 504; for a batch, 207 with status 504 for each item without a result |
//!
//! If `MAX_CONNECTIONS` connections are open, new ones are still accepted, so that idle connections
//! cannot prevent them. The service then closes connections of the peer that has the most, first
//! those that have waited longest for a complete request. It never closes a connection between a
//! complete `POST` request and the response. At start, the soft limit of open file descriptors is
//! raised to what these limits need; if the hard limit is lower, `MAX_CONNECTIONS` is reduced with
//! a warning.
//!
//! A failed send is repeated until `DELIVERY_TIMEOUT`, so that a short outage of SQS only delays
//! the responses. If too many messages wait for SQS (10,000, or 32 MiB), further requests get 503
//! with `retry-after`.
//!
//! The detail of a 503 or 504 says so if the message may have been sent.
//!
//! # Health checks
//!
//! `GET /healthz` returns 200 while the process runs. `GET /readyz` returns 200 if the queue can be
//! used, and 503 if it cannot, or during a shutdown. It asks SQS at most once a second; the result
//! is at most a second old.
//!
//! # Shutdown
//!
//! SIGTERM begins three steps, which together fit into the 30 s after which ECS kills a container:
//!
//! 1. In the grace period (5 s), `GET /readyz` returns 503, and load balancers stop sending
//!    requests. The service still accepts connections and requests. Each response has the header
//!    `connection: close`, so that clients do not use connections that are about to be closed.
//! 2. The service stops listening and finishes the accepted requests (at most 15 s).
//! 3. The sender's buffer is emptied (at most 1 s), and the telemetry is exported (at most 3 s).
//!
//! SIGINT (Ctrl-C) skips the first step.
//!
//! # CPU profiles
//!
//! With the feature `profiling` and `PROFILING_ADDR`, a second listener serves CPU profiles of the
//! process in the format of pprof, and nothing else. `GET /debug/pprof/profile` responds after
//! `seconds` (1 to 300, by default 30) with `frequency` samples (1 to 100, by default 100) for each
//! second of CPU time. `docs/profiling.md` describes its use.
//!
//! ```console
//! $ curl -o profile.pb.gz 'http://127.0.0.1:6060/debug/pprof/profile?seconds=30&frequency=100'
//! ```
//!
//! The body has the type `application/octet-stream`: it is a message of `profile.proto`, compressed
//! with gzip. Errors are `text/plain`:
//!
//! | status | cause |
//! |---|---|
//! | 400 | a parameter is unknown, invalid or given more than once |
//! | 403 | the request comes from a web page: it has `origin`, or `sec-fetch-site: cross-site` |
//! | 404 | unknown path |
//! | 405 | the method is not GET |
//! | 409 | another profile is being taken |
//! | 421 | `host` is neither `localhost`, a name under `.localhost` nor an IP address |
//! | 500 | the profiler cannot be started, or its temporary file is missing; the text says what to do |
//! | 503 | the service is stopping |
//!
//! # Configuration
//!
//! Each setting is a variable and a flag. The flag has priority, and an empty value means the
//! default.
//!
//! | variable, flag | default | meaning |
//! |---|---|---|
//! | `QUEUE_URL`, `--queue-url` | required | URL of the queue that onboardings are sent to |
//! | `LISTEN_ADDR`, `--listen-addr` | `0.0.0.0:8080` | socket address to listen on; the default is meant for a container with its own network namespace |
//! | `REQUEST_TIMEOUT`, `--request-timeout` | `15` | seconds for a request: up to ten for its body and five to send it to the queue |
//! | `DELIVERY_TIMEOUT`, `--delivery-timeout` | `5` | seconds for SQS to confirm the message of a request, with all attempts |
//! | `MAX_CONCURRENT_REQUESTS`, `--max-concurrent-requests` | `4096` | maximum number of requests in progress |
//! | `MAX_CONNECTIONS`, `--max-connections` | `8192` | maximum number of open connections; larger than `MAX_CONCURRENT_REQUESTS` |
//! | `SHUTDOWN_GRACE_PERIOD`, `--shutdown-grace-period` | `5` | seconds after SIGTERM in which the service is not ready but still accepts requests |
//! | `SHUTDOWN_TIMEOUT`, `--shutdown-timeout` | `15` | seconds for accepted requests to finish after the grace period; the last export then has three more |
//! | `PROFILING_ADDR`, `--profiling-addr` | `off` | port on loopback, or socket address, that serves CPU profiles; needs the feature `profiling` |
//!
//! Libraries read these variables:
//!
//! | variable | meaning |
//! |---|---|
//! | `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_SQS`, credentials | as in every AWS SDK; a region is required |
//! | `OTEL_*` | as in the specification; see `baton-telemetry` |
//! | `OTEL_EXPORTER_OTLP_HEADERS_SECRET` | ARN of a secret or parameter that contains headers for the export, such as an API key; needs the feature `secrets`, see `baton-secrets` |
//!
//! Each invalid value is logged with its variable and flag, and the process then exits with code 78
//! (`EX_CONFIG`). An unknown flag has the same code and is printed to standard error.

#![forbid(unsafe_code)]

mod batch;
mod body;
mod document;
mod forwarded;
mod onboarding;
mod openapi;
mod problem;
#[cfg(feature = "profiling")]
pub mod profiling;
mod queue;
mod readiness;
mod repeated_events;
mod request_id;
mod request_limits;
mod request_telemetry;
mod routes;
mod serve;
mod server_duration;
mod server_span;
mod wire;

pub use serve::{DrainOutcome, Limits, ServeConfig, run};
