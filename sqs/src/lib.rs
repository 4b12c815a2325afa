//! The client side of SQS that `baton-producer` and the dead-letter queue of `baton-lambda` share.
//!
//! A [`QueueSender`] sends messages to one queue. Each send is a span, and the message carries the
//! context of that span in its attributes as far as SQS's limits permit. With the feature `gather`,
//! concurrent sends share calls, and a message is sent again after temporary failures until its
//! deadline.
//!
//! ```no_run
//! # use std::error::Error;
//! # async fn example(sdk: aws_sdk_sqs::Client) -> Result<(), Box<dyn Error>> {
//! use baton_sqs::{OutgoingMessage, QueueSender, QueueUrl};
//!
//! let url = QueueUrl::parse("https://sqs.eu-west-1.amazonaws.com/123456789012/orders")?;
//! let sender = QueueSender::new(sdk, url, opentelemetry::global::tracer("orders"));
//! let sent = sender.send(OutgoingMessage::new("order 17")).await?;
//! println!("{}", sent.message_id);
//! # Ok(())
//! # }
//! ```
//!
//! A [`QueueClient`] is the layer below: it makes a call for each message, and the caller chooses
//! tracer, propagator and parent for each send. It needs no tokio.
//!
//! A program that calls the AWS SDK itself adds a [`TraceInterceptor`] to its client.
//!
//! SQS counts attributes against a queue's `MaximumMessageSize`, which may be far below the 1 MiB
//! limit of SQS and is not known to the sender. The attributes that a send adds never make it fail:
//! if SQS rejects the message because of its size, it is sent again with fewer of them.
//!
//! # Layout
//!
//! A send passes through these modules from top to bottom.
//!
//! | module | content |
//! |---|---|
//! | `queue` | the URL of a queue |
//! | `limits` | the limits of SQS that apply to every queue |
//! | `message` | a message to send, and SQS's rules for it; `message::attribute` for its attributes |
//! | `queue_sender` | [`QueueSender`] and its settings |
//! | `queue_client` | [`QueueClient`]: the span of a send, and a send with its own call |
//! | `trace_context` | the source of a message's trace context, and how much of it fits |
//! | `added_attributes` | the attributes that a send adds, and the order in which they are dropped |
//! | `span`, `metrics` | the telemetry of a send |
//! | `gather` | the buffer, and the `SendMessageBatch` calls of concurrent sends (feature `gather`) |
//! | `call` | the `SendMessage` call without gathering, repeated with fewer attributes if SQS rejects the message |
//! | `stated_size_limit` | the size limit that a queue has stated |
//! | `sdk_request`, `send_output` | a message in the SDK's types, and the result of a send |
//! | `rejection` | the rejections that a message with fewer attributes may avoid |
//! | `trace_interceptor` | [`TraceInterceptor`]: the trace context, spans and metrics of the calls of an AWS SDK client |
//! | `error`, [`error_type`] | the errors of calls, and the classification of the AWS SDK's errors |
//! | `client_settings` | the set-up of an AWS SDK client (feature `client-settings`) |
//!
//! # Telemetry
//!
//! [`TraceInterceptor`] documents the telemetry of the SDK's calls; this section is about a send.
//!
//! The span `send {queue}` has the kind PRODUCER if the message carries its context. It has the
//! kind CLIENT and a link if the message already carries a context, and the kind CLIENT without a
//! link if no listed propagator writes a context or the message has no room for it.
//!
//! A call of a [`QueueSender`] is a span `SQS.SendMessageBatch` of kind CLIENT without a parent. It
//! has a link to the send of each of its messages, `messaging.batch.message_count` and
//! `aws.request_id`. `QueueSenderBuilder::without_call_spans` omits it.
//!
//! | attribute of the span | value |
//! |---|---|
//! | `messaging.system`, `messaging.operation.name`, `messaging.operation.type` | `aws_sqs`, `send`, `send` |
//! | `messaging.destination.name`, `aws.sqs.queue.url`, `server.address`, `server.port` | from the queue's URL |
//! | `messaging.message.id`, `aws.request_id` | from the response |
//! | `error.type` | SQS's error code, or a constant of [`error_type`] |
//! | `baton.context.dropped` | names of the trace context's fields that were dropped, because they exceeded a limit of SQS or of the queue |
//! | `baton.attributes.dropped` | names of optional attributes that were dropped for the same reason, and of omitted ones |
//!
//! The metrics `messaging.client.operation.duration` and `messaging.client.sent.messages` have the
//! same `error.type`. They count sends, not calls: each message counts once. An
//! [invalid](InvalidMessage) message was not sent, so it is in neither.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod added_attributes;
mod call;
#[cfg(feature = "client-settings")]
mod client_settings;
mod error;
pub mod error_type;
#[cfg(feature = "gather")]
mod gather;
mod limits;
mod message;
mod metrics;
mod queue;
mod queue_client;
mod queue_sender;
mod rejection;
mod sdk_request;
mod send_output;
mod span;
mod stated_size_limit;
mod trace_context;
mod trace_interceptor;
mod tracer;

#[cfg(feature = "client-settings")]
pub use client_settings::{ClientSettings, config_loader, http_client};
pub use error::{QueueError, QueueSendError};
#[cfg(feature = "gather")]
pub use gather::{GroupOrder, UnsentMessage, WhenFull};
pub use limits::{MAX_ATTRIBUTES, MAX_MESSAGE_BYTES, is_accepted_character};
pub use message::{Attribute, AttributeValue, InvalidMessage, OutgoingMessage};
pub use queue::{InvalidQueueUrl, QueueUrl};
pub use queue_client::{PreparedSend, QueueClient};
pub use queue_sender::{QueueSender, QueueSenderBuilder};
pub use send_output::SendOutput;
pub use trace_interceptor::TraceInterceptor;
