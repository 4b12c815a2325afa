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

use crate::event::SqsRecord;

mod client;
mod error;
mod outgoing_message;
mod source_attributes;

pub(crate) use error::DeadLetterError;
pub use error::InvalidDeadLetterQueue;

/// Instrumentation scope of the send spans.
const SCOPE: &str = "baton.lambda.dead_letter";

/// A queue for messages whose failure is permanent. Clones share the client and its connections.
///
/// The message is sent with its body, its message attributes, its `AWSTraceHeader` and its message
/// group unchanged. These message attributes describe the failure:
///
/// | Attribute | Value |
/// |---|---|
/// | `baton.error.type` | the failure's `error.type` |
/// | `baton.error.message` | the failure's text, cut to at most 1,024 bytes of whole characters; U+FFFD replaces characters that SQS does not accept |
/// | `baton.source.queue_arn` | the ARN of the queue that the message came from |
/// | `baton.source.message_id` | the message's id in that queue |
///
/// They replace attributes of the same names from an earlier send to a dead-letter queue.
///
/// On a standard queue, the message group is used for fair queues. On a FIFO queue, the message id
/// is the deduplication id, and also the group of a message that has no group.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use baton_lambda::{Consumer, DeadLetterQueue};
///
/// let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
/// let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders-dead";
/// let queue = DeadLetterQueue::new(aws_sdk_sqs::Client::new(&config), url)?;
/// let consumer = Consumer::builder().dead_letter_queue(queue);
/// # Ok(())
/// # }
/// ```
///
/// # Trace context
///
/// A message that carries a trace context keeps it, and nothing is added to it. Any other message
/// gets the context of the send in the fields of the listed propagators: message attributes and,
/// with `xray`, an `AWSTraceHeader`. An `AWSTraceHeader` that came with the message is never
/// replaced; it counts as the message's context only if `xray` is listed.
///
/// # Size limits
///
/// SQS accepts ten attributes and 1 MiB for one message. If there is no room for all of them, the
/// attributes that describe the failure are dropped, from the bottom of the table upwards, and then
/// the trace context. Attributes that the sender set are never dropped.
///
/// A queue's `MaximumMessageSize` may be below the limit of SQS. If the queue rejects the message
/// for its size, the message is sent once more with as many of the added attributes as fit, and the
/// limit that the queue stated is remembered for a minute. If the rejection does not state the
/// limit, the failure's attributes are dropped first, then `baggage`, then `tracestate`, then the
/// rest of the trace context. The span of the send names the dropped attributes. Its kind remains
/// PRODUCER even if `traceparent` was dropped, because a span's kind cannot change.
///
/// # The source queue
///
/// The dead-letter queue must not be the queue that the messages come from. If name, account and
/// region are equal, as far as the URL contains them, nothing is sent: permanent failures are
/// reported like any other failure, and a warning states the cause.
///
/// # Redrive
///
/// SQS did not move these messages, so they lack `DeadLetterQueueSourceArn`, and "start DLQ
/// redrive" cannot determine the source queue. Enter the queue in `baton.source.queue_arn` as the
/// custom destination.
///
/// # At-least-once delivery
///
/// If a function crashes after the send and before its response is read, SQS redelivers the
/// message, and the function sends it again. A FIFO queue drops the second one if it arrives within
/// five minutes, because it has the same deduplication id.
///
/// # Without partial responses
///
/// In some cases one failure makes SQS redeliver the whole batch: with
/// [`PartialResponse::Off`](crate::PartialResponse::Off), or if a message of the batch has no id. A
/// message that was already sent would be redelivered and sent again each time. Permanent failures
/// are therefore sent after all messages have been handled, and only if nothing else has failed;
/// otherwise they are reported like any other failure. After a send that fails, no further one is
/// started, and the messages that were sent before it are sent again after the next delivery.
///
/// A FIFO group is continued after a permanent failure in these cases too, because that message is
/// going to be sent. If it is not sent, SQS redelivers the whole batch and the group starts from
/// its first message, so that each delivery keeps the order.
#[derive(Debug, Clone)]
pub struct DeadLetterQueue {
    client: QueueClient,
    /// Limits the warning about messages that come from this queue to one per process.
    same_queue_warning: Arc<Once>,
}

/// The failure that is recorded on a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeadLetterReason<'a> {
    /// The failure's `error.type`, which has few values.
    pub(crate) error_type: &'a str,
    /// A human-readable text.
    pub(crate) description: &'a str,
}

impl DeadLetterQueue {
    /// Creates a dead-letter queue from its URL and a client. The timeouts and retries of the
    /// client apply, and an invocation waits for its sends to complete.
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

    /// Creates a dead-letter queue from its URL, with the region, credentials and endpoint from the
    /// environment, as the AWS SDKs read it.
    pub(crate) async fn from_environment(queue_url: &str) -> Result<Self, InvalidDeadLetterQueue> {
        let queue = QueueUrl::parse(queue_url)?;
        let client = client::load(baton_sqs::config_loader()).await?;
        Ok(Self::from_parts(client, queue))
    }

    fn from_parts(client: Client, queue: QueueUrl) -> Self {
        Self {
            client: QueueClient::new(client, queue),
            same_queue_warning: Arc::new(Once::new()),
        }
    }

    /// Records the sends with instruments of this meter.
    pub(crate) fn with_meter(mut self, meter: &Meter) -> Self {
        self.client = self.client.with_meter(meter);
        self
    }

    /// Returns the queue's name.
    pub(crate) fn name(&self) -> &str {
        self.client.url().name()
    }

    /// Returns `true` if the message of `record` can be sent here, and `false` if it comes from
    /// this queue: it would be delivered again immediately as a new message, whose receive count
    /// starts at one, so that no redrive policy would ever stop it.
    pub(crate) fn can_receive(&self, record: &SqsRecord<'_>) -> bool {
        let queue = self.client.url();
        let own = record.queue_arn().filter(|arn| queue.can_match(arn));
        if let Some(arn) = &own {
            self.same_queue_warning.call_once(|| {
                warn!(
                    source = &**arn,
                    dead_letter_queue = queue.as_str(),
                    "permanent failures are redelivered instead of sent to the dead-letter queue, because it is their source queue: \
                     BATON_DEAD_LETTER_QUEUE_URL, or the builder's dead_letter_queue, must name another queue"
                );
            });
        }
        own.is_none()
    }

    /// Sends the message of `record` in a span under `parent`. Returns once SQS has accepted it.
    pub(crate) async fn send(
        &self,
        record: &SqsRecord<'_>,
        parent: &Context,
        reason: &DeadLetterReason<'_>,
    ) -> Result<(), DeadLetterError> {
        let is_fifo = self.client.url().is_fifo();
        let message = outgoing_message::build(record, is_fifo, reason)?;
        let prepared = global::get_text_map_propagator(|propagator| {
            let tracer = global::tracer(SCOPE);
            self.client.prepare(&tracer, propagator, parent, &message)
        });
        prepared.send().await?;
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
