//! The send, its span and its metrics.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::operation::RequestId as _;
use aws_sdk_sqs::operation::send_message::SendMessageOutput;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use baton_sqs::{AddedAttributes, LearnedLimit, QueueUrl};
use opentelemetry::metrics::Meter;
use opentelemetry::trace::{FutureExt as _, TraceContextExt as _};
use opentelemetry::{Context, global};
use opentelemetry_sdk::trace::SdkTracer;

use self::metrics::Metrics;
use crate::message::{Attribute, AttributeValue, Message};
use crate::propagation::{self, Carrier};
use crate::unfinished::Unfinished;

mod error;
mod metrics;
mod span;

pub use error::{QueueUnreachable, SendError};

/// Sends messages to one queue. Clones share the client and its connections.
#[derive(Debug, Clone)]
pub struct Sender {
    client: Client,
    queue: QueueUrl,
    tracer: SdkTracer,
    metrics: Metrics,
    limit: LearnedLimit,
}

/// A message that SQS accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// The id that SQS gave the message.
    pub message_id: String,
}

impl Sender {
    /// A sender for `queue`. Timeouts and retries are the client's.
    #[must_use]
    pub fn new(client: Client, queue: QueueUrl, tracer: SdkTracer) -> Self {
        Self {
            metrics: Metrics::none(&queue),
            client,
            queue,
            tracer,
            limit: LearnedLimit::default(),
        }
    }

    /// Records the sends with instruments of this meter: `messaging.client.operation.duration` and
    /// `messaging.client.sent.messages`.
    #[must_use]
    pub fn with_meter(mut self, meter: &Meter) -> Self {
        self.metrics = Metrics::new(meter, &self.queue);
        self
    }

    /// Sends one message, and returns once SQS has accepted it.
    ///
    /// The send is a span under the current context, and the message carries that span's context
    /// unless it already has one of its own: then the span is of kind CLIENT and links to it. Which
    /// fields travel is up to the global propagator.
    ///
    /// The trace context never makes a send fail. If the queue refuses the message for its size,
    /// because its `MaximumMessageSize` is below the 1 MiB of SQS, the message is sent once more
    /// without the context fields that do not fit: `baggage` is left out first, then `tracestate`,
    /// then the rest. Clones of this sender remember the queue's limit for a minute. Both calls
    /// together stay within the client's operation timeout. The span's `baton.context.dropped`
    /// names the fields that were left out. Its kind remains PRODUCER, because a span's kind cannot
    /// change.
    ///
    /// A future dropped before it is done may still have sent the message. Its span ends with
    /// `error.type` `cancelled`.
    ///
    /// # Errors
    ///
    /// When the message breaks a rule of SQS (nothing was sent), when it is larger than the queue
    /// accepts without any context, when SQS refused it for another reason, or when no answer came
    /// within the client's timeouts and retries (it may have been sent).
    pub async fn send(&self, message: Message) -> Result<Sent, SendError> {
        let parent = Context::current();
        let origin =
            global::get_text_map_propagator(|propagator| span::Origin::of(&message, propagator));
        let context = parent.with_span(span::start(&self.tracer, &self.queue, &origin, &parent));
        let _unfinished = Unfinished(context.clone());
        let sending = self.metrics.begin();
        let outcome = self
            .send_within(message, &origin, &context)
            .with_context(context.clone())
            .await;
        sending.end(outcome.as_ref().err());
        span::finish(&context.span(), outcome.as_ref().err());
        outcome
    }

    /// Asks SQS for an attribute of the queue: whether it is there, and we may use it.
    ///
    /// # Errors
    ///
    /// When SQS refuses, or does not answer within the client's timeouts and retries.
    pub async fn check_queue(&self) -> Result<(), QueueUnreachable> {
        let request = self
            .client
            .get_queue_attributes()
            .queue_url(self.queue.as_str());
        request
            .attribute_names(QueueAttributeName::QueueArn)
            .send()
            .await?;
        Ok(())
    }

    async fn send_within(
        &self,
        message: Message,
        origin: &span::Origin,
        context: &Context,
    ) -> Result<Sent, SendError> {
        message.check()?;
        let size = message.size();
        let mut added = place_context(&message, origin, context);
        let mut request = self
            .client
            .send_message()
            .queue_url(self.queue.as_str())
            .message_body(message.body);
        for Attribute { name, value } in message.attributes {
            request = request.message_attributes(name, wire_value(value)?);
        }
        let accepted = baton_sqs::send(&self.client, request, size, &mut added, &self.limit).await;
        let span = context.span();
        span::record_dropped(&span, added.left_out);
        let accepted = accepted?;
        span::record_accepted(&span, accepted.message_id(), accepted.request_id());
        sent(accepted)
    }
}

fn place_context(message: &Message, origin: &span::Origin, context: &Context) -> AddedAttributes {
    let mut carrier = Carrier::default();
    global::get_text_map_propagator(|propagator| propagator.inject_context(context, &mut carrier));
    propagation::place(message, origin.is_callers(), carrier)
}

fn wire_value(value: AttributeValue) -> Result<MessageAttributeValue, SendError> {
    let typed = MessageAttributeValue::builder().data_type(value.data_type());
    let filled = match value {
        AttributeValue::String(text) | AttributeValue::Number(text) => typed.string_value(text),
        AttributeValue::Binary(bytes) => typed.binary_value(Blob::new(bytes)),
    };
    filled.build().map_err(SendError::unbuildable)
}

fn sent(accepted: SendMessageOutput) -> Result<Sent, SendError> {
    match accepted.message_id {
        Some(message_id) => Ok(Sent { message_id }),
        None => Err(SendError::NoMessageId),
    }
}
