//! Where messages go that no further delivery would mend.
//!
//! SQS's own redrive policy moves a message after so many deliveries, and says nothing of the
//! reason. What a handler has called permanent need not be delivered again: it is sent to the
//! dead-letter queue at once, with the reason, and only then counts as done.

use std::sync::{Arc, Once};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::operation::RequestId as _;
use aws_sdk_sqs::operation::send_message::SendMessageOutput;
use baton_sqs::{AddedAttributes, LearnedLimit, QueueUrl};
use opentelemetry::context::FutureExt as _;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt as _, Tracer};
use opentelemetry::{Context, global};
use tracing::warn;

use self::letter::Letter;
use self::origin::Origin;
use self::span::Unfinished;
use crate::event::Record;

mod attributes;
mod client;
mod error;
mod letter;
mod origin;
mod span;

pub(crate) use error::DeadLetterError;
pub use error::InvalidDeadLetterQueue;

/// Instrumentation scope of the spans made here.
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
    client: Client,
    queue: QueueUrl,
    /// That messages come from this very queue is said once.
    own_messages: Arc<Once>,
    limit: LearnedLimit,
}

/// Why a message is given up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reason<'a> {
    /// One of few values.
    pub(crate) error_type: &'a str,
    /// For a person to read.
    pub(crate) description: &'a str,
}

/// A message on its way.
struct Sending<'a> {
    letter: Letter<'a>,
    additions: AddedAttributes,
    span: Unfinished,
}

impl DeadLetterQueue {
    /// The queue behind this URL, reached through this client, whose timeouts and retries count: a
    /// send that takes long keeps the invocation from its end.
    ///
    /// # Errors
    ///
    /// When the URL is no absolute `http` or `https` URL, or its path does not end in a queue's
    /// name.
    pub fn new(
        client: Client,
        queue_url: impl Into<String>,
    ) -> Result<Self, InvalidDeadLetterQueue> {
        let queue = QueueUrl::parse(&queue_url.into())?;
        Ok(Self::of(client, queue))
    }

    /// The queue behind this URL, reached with the region, the credentials and the endpoint that
    /// the environment names, as the AWS SDKs read it.
    pub(crate) async fn from_environment(queue_url: &str) -> Result<Self, InvalidDeadLetterQueue> {
        let queue = QueueUrl::parse(queue_url)?;
        let client = client::load(client::environment()).await?;
        Ok(Self::of(client, queue))
    }

    fn of(client: Client, queue: QueueUrl) -> Self {
        Self {
            client,
            queue,
            own_messages: Arc::new(Once::new()),
            limit: LearnedLimit::default(),
        }
    }

    /// The queue's name.
    pub(crate) fn name(&self) -> &str {
        self.queue.name()
    }

    /// Whether messages from the queue of `record` can be moved here. Not those that come from
    /// here: each would be back at once as a new message, whose receive count begins anew, and
    /// would never reach the end that a redrive policy sets.
    pub(crate) fn takes(&self, record: &Record<'_>) -> bool {
        let own = record.queue_arn().filter(|arn| self.queue.can_match(arn));
        if let Some(arn) = &own {
            self.own_messages.call_once(|| {
                warn!(
                    source = &**arn,
                    dead_letter_queue = self.queue.as_str(),
                    "permanent failures are not moved but delivered again: the dead-letter queue is the queue that they come from. \
                     BATON_DEAD_LETTER_QUEUE_URL, or the builder's dead_letter_queue, must name another one"
                );
            });
        }
        own.is_none()
    }

    /// Sends the message of `record`, whose span is that of `span`. Returns once SQS has accepted
    /// it.
    pub(crate) async fn send(
        &self,
        record: &Record<'_>,
        span: &Context,
        reason: &Reason<'_>,
    ) -> Result<(), DeadLetterError> {
        let sending = global::get_text_map_propagator(|propagator| {
            self.prepare(&global::tracer(SCOPE), propagator, record, span, reason)
        });
        self.deliver(sending?).await
    }

    /// Starts the span of the send, and decides what goes with the message.
    fn prepare<'a, T>(
        &self,
        tracer: &T,
        propagator: &dyn TextMapPropagator,
        record: &Record<'a>,
        parent: &Context,
        reason: &Reason<'_>,
    ) -> Result<Sending<'a>, DeadLetterError>
    where
        T: Tracer,
        T::Span: Send + Sync + 'static,
    {
        let letter = Letter::of(record, self.queue.is_fifo())?;
        let origin = Origin::of(&letter, propagator);
        let context = parent.with_span(span::start(tracer, &self.queue, &origin, parent));
        let carrier = origin.carrier(&letter, propagator, &context);
        Ok(Sending {
            additions: letter.additions(carrier, record, reason),
            letter,
            span: Unfinished(context),
        })
    }

    async fn deliver(&self, mut sending: Sending<'_>) -> Result<(), DeadLetterError> {
        let context = sending.span.0.clone();
        let sent = self.request(&mut sending).with_context(context.clone());
        let sent = sent.await;
        let span = context.span();
        span::record_left_out(&span, sending.additions.left_out);
        if let Ok(sent) = &sent {
            span::record_accepted(&span, sent.message_id(), sent.request_id());
        }
        span::finish(&span, sent.as_ref().err());
        sent.map(|_| ())
    }

    async fn request(
        &self,
        sending: &mut Sending<'_>,
    ) -> Result<SendMessageOutput, DeadLetterError> {
        let Sending {
            letter, additions, ..
        } = sending;
        let request = self
            .client
            .send_message()
            .queue_url(self.queue.as_str())
            .set_message_attributes(Some(letter.wire_attributes()?))
            .set_message_system_attributes(letter.wire_system_attributes()?)
            .set_message_group_id(letter.group_id())
            .set_message_deduplication_id(letter.deduplication_id())
            .message_body(letter.body());
        let size = letter.size();
        Ok(baton_sqs::send(&self.client, request, size, additions, &self.limit).await?)
    }
}

#[cfg(test)]
pub(crate) mod tests;
