//! The dead-letter queue for messages whose failure is permanent.
//!
//! SQS's redrive policy moves a message after a number of deliveries and does not record the
//! reason. A message that failed permanently need not be delivered again: it is sent to the
//! dead-letter queue immediately, with the reason, and only then counts as done.

use std::sync::{Arc, Once};

use aws_sdk_sqs::Client;
use baton_sqs::{QueueClient, QueueUrl};
use opentelemetry::metrics::Meter;
use opentelemetry::{Context, global};
use tracing::warn;

use crate::event::Record;

mod client;
mod error;
mod outgoing_message;
mod source_attributes;

pub(crate) use error::DeadLetterError;
pub use error::InvalidDeadLetterQueue;

/// Instrumentation scope of the send spans.
const SCOPE: &str = "baton.lambda.dead_letter";

/// A queue that takes the messages which handlers have given up on. Clones share the client and its
/// connections.
///
/// What is sent is the message as it came: its body, its message attributes, its `AWSTraceHeader`,
/// and the trace context that it carries in them. One that carries none gets that of the send, as
/// the listed propagators write it: message attributes, and for `xray` an `AWSTraceHeader`. A
/// header that came with the message stays, whatever is listed; it counts as the message's context
/// where `xray` is. The reason is added as message attributes:
///
/// | Attribute | Value |
/// |---|---|
/// | `baton.error.type` | the failure's `error.type` |
/// | `baton.error.message` | its text, cut to at most 1,024 bytes of whole characters; a character that SQS refuses becomes U+FFFD |
/// | `baton.source.queue_arn` | the queue that the message came from |
/// | `baton.source.message_id` | the message's id there |
///
/// A message with attributes of these names, from an earlier stay in a dead-letter queue, gets new
/// ones. SQS takes ten attributes and 1 MiB a message. When either runs short, what is added is
/// left out from the bottom of this table upwards and the trace context last, never an attribute
/// that the sender set. A queue's `MaximumMessageSize` may be below the limit of SQS. When the
/// queue refuses the message for its size, the message is sent once more with as many of these
/// attributes as fit, in the same order; the limit that the queue stated is remembered for a
/// minute. If the refusal states no limit, the reason is left out first, then `baggage`, then
/// `tracestate`, then the rest of the trace context. The span of the send names the attributes that
/// were left out. A span's kind cannot change after the first attempt, so the span stays PRODUCER
/// even if `traceparent` was left out and the message does not carry its context.
///
/// A message keeps its message group; on a standard queue, that group is used for fair queues. On a
/// FIFO queue, the message id is the deduplication id, and also the group of a message that has no
/// group.
///
/// It must not be the queue that the messages come from. Where account and name (and the region, as
/// far as the URL tells) are the same, nothing is sent: permanent failures are reported like any
/// other, and a warning says why.
///
/// # Moving messages back
///
/// SQS did not move these messages itself, so they lack `DeadLetterQueueSourceArn`, and "start DLQ
/// redrive" to the source queue does not know where they came from: name the queue, which
/// `baton.source.queue_arn` tells, as the custom destination.
///
/// # At least once
///
/// A function that dies after the send and before its response has been read gets the message
/// again, and sends it again. (Not to a FIFO queue within five minutes: there the message id keeps
/// the second one out.)
///
/// # Without partial responses
///
/// Where one failure has the whole batch delivered again
/// ([`PartialResponse::Off`](crate::PartialResponse::Off), or a message without an id in the
/// batch), a message that was moved would come back and be moved again, each time. There permanent
/// failures are sent last, when all messages are handled, and only if nothing else has failed;
/// otherwise they are reported like any other. If then a send fails, no further one is begun, and
/// what was sent before it is sent again with the next delivery.
///
/// A FIFO group goes on after a permanent failure there too, because it is meant to be moved. If in
/// the end it is not, the whole batch is delivered again, the group from its first message, so that
/// the order of each delivery is kept.
#[derive(Debug, Clone)]
pub struct DeadLetterQueue {
    queue: QueueClient,
    /// Limits the warning about messages that come from this queue to one per process.
    own_messages: Arc<Once>,
}

/// The failure that is recorded on a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeadLetterReason<'a> {
    /// The failure's `error.type`, which has few values.
    pub(crate) error_type: &'a str,
    /// A text for people.
    pub(crate) description: &'a str,
}

impl DeadLetterQueue {
    /// Creates a dead-letter queue from its URL and a client. The timeouts and retries of the
    /// client apply, and the invocation does not end before a send has.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL is not an absolute `http` or `https` URL, or if its path does
    /// not end in a queue name.
    pub fn new(
        client: Client,
        queue_url: impl Into<String>,
    ) -> Result<Self, InvalidDeadLetterQueue> {
        let queue = QueueUrl::parse(&queue_url.into())?;
        Ok(Self::from_parts(client, queue))
    }

    /// Creates a dead-letter queue from its URL, with the region, the credentials and the endpoint
    /// that the environment names, as the AWS SDKs read it.
    pub(crate) async fn from_environment(queue_url: &str) -> Result<Self, InvalidDeadLetterQueue> {
        let queue = QueueUrl::parse(queue_url)?;
        let client = client::load(baton_sqs::config_loader()).await?;
        Ok(Self::from_parts(client, queue))
    }

    fn from_parts(client: Client, queue: QueueUrl) -> Self {
        Self {
            queue: QueueClient::new(client, queue),
            own_messages: Arc::new(Once::new()),
        }
    }

    /// Records the sends with instruments of this meter.
    pub(crate) fn with_meter(mut self, meter: &Meter) -> Self {
        self.queue = self.queue.with_meter(meter);
        self
    }

    /// The queue's name.
    pub(crate) fn name(&self) -> &str {
        self.queue.queue().name()
    }

    /// Returns `true` if messages from the queue of `record` can be sent here, and `false` if they
    /// come from this queue: each would be delivered again immediately as a new message, whose
    /// receive count starts at one, so that no redrive policy would ever stop it.
    pub(crate) fn takes(&self, record: &Record<'_>) -> bool {
        let queue = self.queue.queue();
        let own = record.queue_arn().filter(|arn| queue.can_match(arn));
        if let Some(arn) = &own {
            self.own_messages.call_once(|| {
                warn!(
                    source = &**arn,
                    dead_letter_queue = queue.as_str(),
                    "permanent failures are not moved but delivered again: the dead-letter queue is the queue that they come from. \
                     BATON_DEAD_LETTER_QUEUE_URL, or the builder's dead_letter_queue, must name another one"
                );
            });
        }
        own.is_none()
    }

    /// Sends the message of `record` in a span under `parent`. Returns once SQS has accepted it.
    pub(crate) async fn send(
        &self,
        record: &Record<'_>,
        parent: &Context,
        reason: &DeadLetterReason<'_>,
    ) -> Result<(), DeadLetterError> {
        let is_fifo = self.queue.queue().is_fifo();
        let message = outgoing_message::build(record, is_fifo, reason)?;
        let prepared = global::get_text_map_propagator(|propagator| {
            let tracer = global::tracer(SCOPE);
            self.queue.prepare(&tracer, propagator, parent, &message)
        });
        prepared.send().await?;
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
