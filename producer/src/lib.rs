//! Sends SQS messages that carry the trace of whoever sends them.
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
//! | `sender` | the sender, on top of `baton-sqs`: messages, spans, metrics and errors |
//!
//! # Spans
//!
//! | span | kind | attributes |
//! |---|---|---|
//! | `send {queue}` | PRODUCER; CLIENT with a link when the message already carries a context; CLIENT where no listed propagator writes one | `messaging.system`, `messaging.operation.name`, `messaging.operation.type`, `messaging.destination.name`, `aws.sqs.queue.url`, `server.address`, `server.port`, `messaging.message.id`, `aws.request_id`; `error.type` when it failed; `baton.context.dropped` names the context fields that were left out because they exceeded a limit of SQS or of the queue |
//!
//! A send that is dropped before it is done ends its span with `error.type` `cancelled`.
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
//! Of a [`Sender`] that has been given a meter with [`Sender::with_meter`].
//!
//! | metric | kind | unit | attributes |
//! |---|---|---|---|
//! | `messaging.client.operation.duration` | histogram | `s` | `messaging.destination.name`, `messaging.operation.name`, `messaging.operation.type`, `messaging.system`; `error.type` when it failed |
//! | `messaging.client.sent.messages` | counter | `{message}` | the same without `messaging.operation.type` |
//!
//! A message that breaks a rule of SQS was not sent, and is in neither.

#![forbid(unsafe_code)]

mod sender;

pub use baton_sqs::{
    Attribute, AttributeValue, InvalidMessage, InvalidQueueUrl, OutgoingMessage as Message,
    QueueUnreachable, QueueUrl, SendError, Sent,
};
pub use sender::Sender;
/// Crates whose types appear in this crate's public API, in matching versions.
#[doc(no_inline)]
pub use {aws_sdk_sqs, opentelemetry, opentelemetry_sdk};
