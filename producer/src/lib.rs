//! Sends SQS messages that carry the trace of whoever sends them, and the onboarding API built on
//! that.
//!
//! A [`Sender`] owns one queue. Each [`Sender::send`] is a span `send {queue}`, and the context of
//! that very span travels in the message's attributes, so that whoever receives the message
//! continues the trace from the send.
//!
//! ```no_run
//! # async fn example(tracer: opentelemetry_sdk::trace::SdkTracer, sdk: aws_sdk_sqs::Client) -> Result<(), Box<dyn std::error::Error>> {
//! use baton_producer::{AttributeValue, Message, QueueUrl, Sender};
//!
//! let queue = QueueUrl::parse("https://sqs.eu-west-1.amazonaws.com/123456789012/onboarding")?;
//! let sender = Sender::new(sdk, queue, tracer);
//! let message = Message::new(r#"{"customer_id":"c-1"}"#).with_attribute("tenant", AttributeValue::String("blue".to_owned()));
//! let sent = sender.send(message).await?;
//! println!("{}", sent.message_id);
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//!
//! | module | what is in it |
//! |---|---|
//! | `queue` | the queue's URL, taken apart once |
//! | `message` | a message, and SQS's rules for it |
//! | `propagation` | which context fields fit beside the caller's attributes |
//! | `sender` | the send, its span and its metrics |
//! | `unfinished` | how a span ends whose work was dropped |
//! | `api` | the onboarding API (feature `api`, on by default; without it this crate is the sender alone) |
//!
//! # Spans
//!
//! | span | kind | attributes |
//! |---|---|---|
//! | `send {queue}` | PRODUCER; CLIENT with a link when the message already carries a context; CLIENT where no listed propagator writes one | `messaging.system`, `messaging.operation.name`, `messaging.operation.type`, `messaging.destination.name`, `aws.sqs.queue.url`, `server.address`, `server.port`, `messaging.message.id`, `aws.request_id`; `error.type` when it failed; `baton.context.dropped` names the context fields that were left out because they exceeded a limit of SQS or of the queue |
//! | `{method} {route}` | SERVER | `http.request.method`, `http.route`, `url.path`, `url.scheme`, `server.address`, `server.port`, `http.response.status_code`; `error.type` for 5xx and for requests without an answer |
//!
//! `url.scheme`, `server.address` and `server.port` are the ones that the client used, even behind
//! a load balancer that terminates TLS. They come from the header `Forwarded`, else from
//! `X-Forwarded-Proto`, `X-Forwarded-Host` and `X-Forwarded-Port`, else from the request itself.
//!
//! Whatever is dropped before it is done, such as a request whose client went away, ends its spans
//! with `error.type` `cancelled`.
//!
//! # Versions
//!
//! A [`Sender`] takes the active span's context from OpenTelemetry, and each minor version of
//! `opentelemetry` has separate contexts and globals. **This crate uses `opentelemetry` 0.33**:
//! with another version a program compiles, but its sends are not children of its spans.
//! [`opentelemetry`], [`opentelemetry_sdk`] and [`aws_sdk_sqs`] are re-exported here.
//!
//! # Metrics
//!
//! Of a [`Sender`] that has been given a meter with [`Sender::with_meter`], as the API's has.
//!
//! | metric | kind | unit | attributes |
//! |---|---|---|---|
//! | `messaging.client.operation.duration` | histogram | `s` | `messaging.destination.name`, `messaging.operation.name`, `messaging.operation.type`, `messaging.system`; `error.type` when it failed |
//! | `messaging.client.sent.messages` | counter | `{message}` | the same without `messaging.operation.type` |
//!
//! A message that breaks a rule of SQS was not sent, and is in neither.
//!
//! # Metrics of `onboarding-api`
//!
//! | metric | unit | attributes |
//! |---|---|---|
//! | `http.server.request.duration` | `s` | `http.request.method`, `url.scheme`, `http.route` where there is one, `http.response.status_code` of answered requests, `error.type` for 5xx and for requests without an answer |
//!
//! `url.scheme` is that of the span. Host and port are not attributes: they come from headers, so
//! any client could create new time series.
//!
//! `GET /healthz` and `GET /readyz` have neither span nor measurement: load balancers ask several
//! times a minute.
//!
//! # Log of `onboarding-api`
//!
//! One line at INFO for each accepted request, `message accepted`, with `message_id` and
//! `trace_id`; `RUST_LOG=baton_producer=warn,info` leaves it out.
//!
//! # Environment of `onboarding-api`
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

mod message;
mod propagation;
mod queue;
mod sender;
mod unfinished;

#[cfg(feature = "api")]
pub mod api;

pub use message::{AttributeValue, InvalidMessage, Message};
pub use queue::{InvalidQueueUrl, QueueUrl};
pub use sender::{QueueUnreachable, SendError, Sender, Sent};
/// Crates whose types appear in this crate's public API, in matching versions.
#[doc(no_inline)]
pub use {aws_sdk_sqs, opentelemetry, opentelemetry_sdk};
