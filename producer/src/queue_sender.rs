//! The sender of one queue.

use aws_sdk_sqs::Client;
use baton_sqs::{OutgoingMessage, QueueClient, QueueError, QueueSendError, QueueUrl, SendOutput};
use opentelemetry::metrics::Meter;
use opentelemetry::{Context, global};
use opentelemetry_sdk::trace::SdkTracer;

/// Sends messages to one queue. Clones share the client and its connections.
///
/// ```no_run
/// # use std::error::Error;
/// # use opentelemetry_sdk::trace::SdkTracer;
/// # async fn example(tracer: SdkTracer, sdk: aws_sdk_sqs::Client) -> Result<(), Box<dyn Error>> {
/// use baton_producer::{OutgoingMessage, QueueSender, QueueUrl};
///
/// let queue = QueueUrl::parse("https://sqs.eu-west-1.amazonaws.com/123456789012/onboarding")?;
/// let meter = opentelemetry::global::meter("onboarding");
/// let sender = QueueSender::new(sdk, queue, tracer).with_meter(&meter);
/// match sender.send(OutgoingMessage::new("order 17")).await {
///     Ok(sent) => println!("sent {}", sent.message_id),
///     Err(error) if error.is_retryable() => println!("retry later: {error}"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct QueueSender {
    client: QueueClient,
    tracer: SdkTracer,
}

impl QueueSender {
    /// Creates a sender for `queue`. The timeouts and retries of `client` apply.
    #[must_use]
    pub fn new(client: Client, queue: QueueUrl, tracer: SdkTracer) -> Self {
        Self {
            client: QueueClient::new(client, queue),
            tracer,
        }
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
    /// Both calls together stay within the client's operation timeout. The span's
    /// `baton.context.dropped` names the dropped fields. The span keeps the kind PRODUCER, because
    /// a span's kind cannot change.
    ///
    /// If the future is dropped before it completes, the message may still have been sent. The span
    /// ends with `error.type` `cancelled`.
    ///
    /// # Errors
    ///
    /// Returns an error if the message breaks a rule of SQS (nothing was sent), if it is larger
    /// than the queue accepts without any context, if SQS rejects it for another reason, or if SQS
    /// does not respond within the client's timeouts and retries (it may have been sent).
    pub async fn send(&self, message: OutgoingMessage) -> Result<SendOutput, QueueSendError> {
        let parent = Context::current();
        let prepared = global::get_text_map_propagator(|propagator| {
            self.client
                .prepare(&self.tracer, propagator, &parent, &message)
        });
        prepared.send().await
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
}
