//! The sender of one queue.

use std::fmt;

use aws_sdk_sqs::Client;
#[cfg(feature = "gather")]
use futures_util::future::join_all;
use opentelemetry::metrics::Meter;
#[cfg(feature = "gather")]
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::trace::Tracer;
use opentelemetry::{Context, global};
#[cfg(feature = "gather")]
use tokio::time::Instant;

use crate::error::{QueueError, QueueSendError};
#[cfg(feature = "gather")]
use crate::gather::{
    BatchingSender, Confirmation, Delivery, LingerPolicy, PendingDelivery, TracedMessage,
    UnsentMessage,
};
use crate::message::OutgoingMessage;
#[cfg(feature = "gather")]
use crate::metrics::SendMeasurement;
use crate::queue::QueueUrl;
use crate::queue_client::{PreparedSend, QueueClient};
use crate::send_output::SendOutput;
#[cfg(feature = "gather")]
use crate::span::{self, SpanGuard};
use crate::trace_context::warn_without_propagator;
use crate::tracer::SharedTracer;

mod builder;

pub use builder::QueueSenderBuilder;

/// Sends messages to one queue. Clones share the client with its connections, and the buffer.
///
/// ```no_run
/// # use std::error::Error;
/// # async fn example(sdk: aws_sdk_sqs::Client) -> Result<(), Box<dyn Error>> {
/// use baton_sqs::{OutgoingMessage, QueueSender, QueueUrl};
///
/// let queue = QueueUrl::parse("https://sqs.eu-west-1.amazonaws.com/123456789012/onboarding")?;
/// let sender = QueueSender::new(sdk, queue, opentelemetry::global::tracer("onboarding"));
/// match sender.send(OutgoingMessage::new("order 17")).await {
///     Ok(sent) => println!("sent {}", sent.message_id),
///     Err(error) if error.may_have_been_sent() => println!("perhaps sent: {error}"),
///     Err(error) if error.is_retryable() => println!("retry later: {error}"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Batches
///
/// With the feature `gather`, messages of concurrent sends go to SQS in one `SendMessageBatch`, up
/// to ten messages and 1 MiB at a time. A message waits for others only if these are likely to
/// arrive. It is sent at once if fewer than two others would arrive within the
/// [linger](QueueSenderBuilder::linger) at the rate of the last 100 ms. Otherwise its batch is sent
/// as soon as it is full, and at the latest after the linger.
///
/// # Failures
///
/// Each message has one deadline, the [delivery timeout](QueueSenderBuilder::delivery_timeout),
/// instead of a number of attempts. Until then, a message is sent again after an error that may be
/// temporary: a throttled or failed call, a lost connection, a call without a response, and an
/// entry of a batch that SQS did not accept although the message is valid. The pauses between
/// attempts grow and have a random part. An error that the message has caused is returned at once,
/// and does not affect the other messages of its batch.
///
/// Delivery is at least once: if the response to a call is lost, SQS may have the messages, and
/// they are sent again. A FIFO queue discards the duplicates, which have the same deduplication
/// ids. If a send fails after a lost response, [`QueueSendError::may_have_been_sent`] returns
/// `true`.
///
/// # FIFO queues
///
/// Every message needs a [group](OutgoingMessage::with_group_id). A message without a deduplication
/// id gets a random one, which is the same for all its attempts. The messages of a group are sent
/// in the order of the calls of [`send`](Self::send): see [`GroupOrder`](crate::GroupOrder).
#[derive(Clone)]
pub struct QueueSender {
    client: QueueClient,
    tracer: SharedTracer,
    /// `true` if the queue derives deduplication ids from the bodies.
    has_content_based_deduplication: bool,
    #[cfg(feature = "gather")]
    batching: BatchingSender,
}

/// A send whose message is in the buffer.
#[cfg(feature = "gather")]
struct StartedSend {
    pending: Result<PendingDelivery, QueueSendError>,
    measurement: SendMeasurement,
    span: SpanGuard,
}

impl QueueSender {
    /// Creates a sender with the default settings.
    #[must_use]
    pub fn new<T>(client: Client, queue: QueueUrl, tracer: T) -> Self
    where
        T: Tracer + Send + Sync + 'static,
        T::Span: Send + Sync + 'static,
    {
        Self::builder(client, queue).tracer(tracer).build()
    }

    /// Returns a builder for a sender with other settings.
    pub fn builder(client: Client, queue: QueueUrl) -> QueueSenderBuilder {
        QueueSenderBuilder::new(client, queue)
    }

    /// Records the sends with instruments of this meter: `messaging.client.operation.duration` and
    /// `messaging.client.sent.messages`.
    #[must_use]
    pub fn with_meter(mut self, meter: &Meter) -> Self {
        self.client = self.client.with_meter(meter);
        self
    }

    /// Sends one message. Returns once SQS has accepted it.
    ///
    /// The send is a span under the current context, and the message carries that span's context
    /// in the fields of the global propagator. If the message already has a trace context, the
    /// span is of kind CLIENT and has a link to it.
    ///
    /// The trace context never makes a send fail. If the queue's `MaximumMessageSize` is below the
    /// 1 MiB of SQS and the queue rejects the message for that reason, the message is sent once
    /// more without the context fields that do not fit: `baggage` is dropped first, then
    /// `tracestate`, then the rest. Clones of this sender remember the queue's limit for a minute.
    /// The span's `baton.context.dropped` names the dropped fields. The span keeps the kind
    /// PRODUCER, because a span's kind cannot change.
    ///
    /// If the future is dropped before it completes, a message that is still in the buffer is
    /// removed from it and not sent, and one whose call is in progress may be sent. The span ends
    /// with `error.type` `cancelled`.
    ///
    /// # Errors
    ///
    /// Returns an error if the message breaks a rule of SQS, if it is larger than the queue accepts
    /// without any context, if SQS rejects it for another reason, if SQS does not confirm it in
    /// time, or if the buffer is full or closed.
    pub async fn send(&self, message: OutgoingMessage) -> Result<SendOutput, QueueSendError> {
        let message = self.complete(message);
        #[cfg(feature = "gather")]
        return self
            .start(message, LingerPolicy::IfLikely)
            .await
            .finish()
            .await;
        #[cfg(not(feature = "gather"))]
        return self.prepare(&message).send().await;
    }

    /// Checks that the queue exists and that its attributes may be read.
    ///
    /// # Errors
    ///
    /// Returns an error if SQS rejects the call, or does not respond within the client's timeouts
    /// and retries.
    pub async fn check_queue(&self) -> Result<(), QueueError> {
        self.client.check().await
    }

    /// Adds a deduplication id to a message that needs one.
    fn complete(&self, message: OutgoingMessage) -> OutgoingMessage {
        let needs_id = self.client.url().is_fifo()
            && message.deduplication_id().is_none()
            && !self.has_content_based_deduplication;
        if needs_id {
            message.with_deduplication_id(uuid::Uuid::new_v4().to_string())
        } else {
            message
        }
    }

    /// Starts the span of a send under the current context.
    fn prepare<'a>(&'a self, message: &'a OutgoingMessage) -> PreparedSend<'a> {
        let parent = Context::current();
        global::get_text_map_propagator(|propagator| {
            warn_without_propagator(propagator);
            self.client
                .prepare(self.tracer.get(), propagator, &parent, message)
        })
    }
}

#[cfg(feature = "gather")]
impl QueueSender {
    /// Sends several messages, and returns the result of each, in their order.
    ///
    /// The messages go to SQS in batches, together with those of concurrent sends. The last batch
    /// does not wait for others. If the buffer is full, the next message waits for room as it does
    /// in [`send`](Self::send).
    pub async fn send_all(
        &self,
        messages: impl IntoIterator<Item = OutgoingMessage>,
    ) -> Vec<Result<SendOutput, QueueSendError>> {
        let mut sends = Vec::new();
        for message in messages {
            sends.push(
                self.start(self.complete(message), LingerPolicy::Always)
                    .await,
            );
        }
        self.batching.flush();
        // Each send ends when its own result is there, not after those before it.
        join_all(sends.into_iter().map(StartedSend::finish)).await
    }

    /// Closes this sender and its clones: accepts no more messages, sends each message that is in
    /// the buffer once, and returns those that SQS has not confirmed by the deadline. Their sends
    /// fail as well.
    ///
    /// On a FIFO queue, the messages that follow a failed one in its group are returned as well, so
    /// that all of them can be sent again in their order. A call whose tokio runtime is not driven
    /// ends `close` a second after the deadline, and its messages are not returned.
    ///
    /// A second call waits in the same way and returns the messages that the first has not.
    ///
    /// ```no_run
    /// # async fn example(sender: baton_sqs::QueueSender) {
    /// use std::time::Duration;
    ///
    /// use tokio::time::Instant;
    ///
    /// for unsent in sender.close(Instant::now() + Duration::from_secs(5)).await {
    ///     println!("{}: {}", unsent.error, unsent.message.body());
    /// }
    /// # }
    /// ```
    pub async fn close(&self, deadline: Instant) -> Vec<UnsentMessage> {
        self.batching.close(deadline).await
    }

    /// Starts the span of a send and adds the message to the buffer.
    async fn start(&self, message: OutgoingMessage, policy: LingerPolicy) -> StartedSend {
        let PreparedSend {
            added,
            measurement,
            span,
            ..
        } = self.prepare(&message);
        let traced = TracedMessage {
            message,
            added,
            context: span.0.clone(),
        };
        StartedSend {
            pending: self.batching.enqueue(traced, policy).await,
            measurement,
            span,
        }
    }
}

/// Omits the configuration of the AWS SDK, which is long.
impl fmt::Debug for QueueSender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("QueueSender")
            .field("queue", &self.client.url().as_str())
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "gather")]
impl StartedSend {
    /// Waits for the result, and ends the span and the measurement.
    async fn finish(self) -> Result<SendOutput, QueueSendError> {
        let Self {
            pending,
            measurement,
            span: guard,
        } = self;
        let delivery = match pending {
            Ok(pending) => pending.wait().await,
            Err(error) => Err(error),
        };
        let span = guard.0.span();
        let outcome = delivery.and_then(|Delivery { outcome, added }| {
            span::record_dropped(&span, added);
            outcome
        });
        let outcome = outcome.map(|Confirmation { output, request_id }| {
            span::record_accepted(&span, Some(&output.message_id), request_id.as_deref());
            output
        });
        measurement.finish(outcome.as_ref().err());
        span::finish(&span, outcome.as_ref().err());
        outcome
    }
}
