//! Sends SQS messages that carry the trace context of the sender.
//!
//! A [`QueueSender`] sends messages to one queue. Each [`QueueSender::send`] is a span `send
//! {queue}`. The context of that span is sent in the attributes of the message, so that the
//! consumer continues the trace from the send.
//!
//! ```no_run
//! # use std::error::Error;
//! # async fn example(sdk: aws_sdk_sqs::Client) -> Result<(), Box<dyn Error>> {
//! use baton_producer::{AttributeValue, OutgoingMessage, QueueSender, QueueUrl};
//!
//! let queue = QueueUrl::parse("https://sqs.eu-west-1.amazonaws.com/123456789012/onboarding")?;
//! let sender = QueueSender::new(sdk, queue, opentelemetry::global::tracer("onboarding"));
//! let tenant = AttributeValue::String("blue".to_owned());
//! let message = OutgoingMessage::new(r#"{"customer_id":"c-1"}"#).with_attribute("tenant", tenant);
//! let sent = sender.send(message).await?;
//! println!("{}", sent.message_id);
//! # Ok(())
//! # }
//! ```
//!
//! A program that calls `aws-sdk-sqs` itself adds a [`TraceInterceptor`] to its client:
//!
//! ```no_run
//! # fn example(config: aws_sdk_sqs::Config) {
//! use baton_producer::TraceInterceptor;
//!
//! let config = config.to_builder().interceptor(TraceInterceptor::new());
//! let client = aws_sdk_sqs::Client::from_conf(config.build());
//! # }
//! ```
//!
//! Concurrent sends share `SendMessageBatch` calls, and a message is sent again after temporary
//! failures until its deadline: see [`QueueSender`]. Without the feature `gather`, which is on by
//! default, each send makes its own call, with the retries of the AWS SDK.
//!
//! On a FIFO queue, the messages of a group keep their order. The local stack, `baton up` with or
//! without `--sqs-only`, has no FIFO queues yet and rejects names that end in `.fifo`.
//!
//! # Layout
//!
//! All items are those of `baton-sqs`, which the dead-letter queue of `baton-lambda` uses as well.
//!
//! # Spans
//!
//! | span | kind |
//! |---|---|
//! | `send {queue}` | PRODUCER; CLIENT with a link if the message already carries a context; CLIENT without a link if no listed propagator writes a context, or if the message has no room for it |
//! | `SQS.SendMessageBatch` | CLIENT, without a parent, with a link to the send of each message; can be switched off |
//!
//! | attribute of `send {queue}` | value |
//! |---|---|
//! | `messaging.system`, `messaging.operation.name`, `messaging.operation.type` | `aws_sqs`, `send`, `send` |
//! | `messaging.destination.name`, `aws.sqs.queue.url`, `server.address`, `server.port` | from the queue's URL |
//! | `messaging.message.id`, `aws.request_id` | from the response |
//! | `error.type` | on failure: SQS's error code, `connect` (no connection was established), `io` (it broke), `timeout`, `invalid_response`, `digest_mismatch`, `buffer_full`, `closed`, `no_runtime`, `invalid_message`, `unbuildable`, `cancelled`, `panic` or `_OTHER` |
//! | `baton.context.dropped` | names of the trace context's fields that were dropped, because they exceeded a limit of SQS or of the queue |
//! | `baton.attributes.dropped` | names of the message's optional attributes that were dropped for the same reason |
//!
//! [`TraceInterceptor`] documents the spans of the SDK's calls.
//!
//! A send whose future is dropped before it completes ends its span with `error.type` `cancelled`.
//!
//! # Metrics
//!
//! A [`QueueSender`] and a [`TraceInterceptor`] record metrics if they have a meter: see
//! [`QueueSender::with_meter`] and [`TraceInterceptor::with_meter`].
//!
//! | metric | kind | unit | attributes |
//! |---|---|---|---|
//! | `messaging.client.operation.duration` | histogram | `s` | `messaging.destination.name`, `messaging.operation.name`, `messaging.operation.type`, `messaging.system`; `error.type` on failure |
//! | `messaging.client.sent.messages` | counter | `{message}` | the same without `messaging.operation.type` |
//!
//! The counter counts each message once. The histogram of a [`QueueSender`] measures sends, and
//! that of a [`TraceInterceptor`] measures calls. A message that breaks a rule of SQS is
//! not sent by a [`QueueSender`], and is in neither of its metrics.
//!
//! # Versions
//!
//! A [`QueueSender`] reads the active span's context from OpenTelemetry, and each minor version of
//! `opentelemetry` has separate contexts and globals. **This crate uses `opentelemetry` 0.33**:
//! with another version a program compiles, but its sends are not children of its spans.
//! [`opentelemetry`] and [`aws_sdk_sqs`] are re-exported here.

#![forbid(unsafe_code)]

pub use baton_sqs::{
    Attribute, AttributeValue, InvalidMessage, InvalidQueueUrl, OutgoingMessage, QueueError,
    QueueSendError, QueueSender, QueueSenderBuilder, QueueUrl, SendOutput, TraceInterceptor,
};
#[cfg(feature = "gather")]
pub use baton_sqs::{GroupOrder, UnsentMessage, WhenFull};
/// Crates whose types appear in this crate's public API, in matching versions.
#[doc(no_inline)]
pub use {aws_sdk_sqs, opentelemetry};
