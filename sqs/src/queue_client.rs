//! The client of one queue.

use std::fmt;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::operation::RequestId as _;
use aws_sdk_sqs::types::QueueAttributeName;
use opentelemetry::Context;
use opentelemetry::metrics::Meter;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{FutureExt as _, TraceContextExt as _, Tracer};

use crate::added_attributes::AddedAttributes;
use crate::call::SendMessageCall;
use crate::error::{QueueError, QueueSendError};
use crate::message::OutgoingMessage;
use crate::metrics::{SendMeasurement, SendMetrics};
use crate::queue::QueueUrl;
use crate::send_output::SendOutput;
use crate::span::{self, SpanGuard, TracedCall};
use crate::stated_size_limit::StatedSizeLimit;
use crate::trace_context::{ContextSource, xray_header};

/// Sends messages to one queue, each inside a span. Clones share the SDK client with its
/// connections, the metrics, and the size limit that the queue has stated.
///
/// ```no_run
/// # async fn example(sdk: aws_sdk_sqs::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use baton_sqs::{QueueClient, QueueUrl};
///
/// let url = QueueUrl::parse("https://sqs.eu-west-1.amazonaws.com/123456789012/orders")?;
/// let queue = QueueClient::new(sdk, url).with_meter(&opentelemetry::global::meter("orders"));
/// queue.check().await?;
/// # Ok(())
/// # }
/// ```
///
/// The [crate documentation](crate) shows a send.
#[derive(Clone)]
pub struct QueueClient {
    pub(crate) client: Client,
    pub(crate) queue: QueueUrl,
    metrics: SendMetrics,
    pub(crate) limit: StatedSizeLimit,
    /// `true` if messages get an `AWSTraceHeader` even without X-Ray's propagator.
    adds_trace_header: bool,
}

/// A send whose span has started. If it is dropped, its span ends with `error.type` `cancelled`.
#[must_use = "the message is not sent until `send` is awaited"]
pub struct PreparedSend<'a> {
    queue_client: &'a QueueClient,
    message: &'a OutgoingMessage,
    pub(crate) added: AddedAttributes,
    pub(crate) measurement: SendMeasurement,
    pub(crate) span: SpanGuard,
}

impl QueueClient {
    /// Creates a client of the queue. The timeouts and retries of `client` apply.
    #[must_use]
    pub fn new(client: Client, queue: QueueUrl) -> Self {
        Self {
            metrics: SendMetrics::noop(&queue),
            client,
            queue,
            limit: StatedSizeLimit::default(),
            adds_trace_header: false,
        }
    }

    /// Adds the system attribute `AWSTraceHeader` to messages that carry the context of their send,
    /// for consumers that X-Ray traces. It takes no slot of the message attributes, and SQS does
    /// not count it against the message's size.
    #[must_use]
    pub fn with_trace_header(mut self) -> Self {
        self.adds_trace_header = true;
        self
    }

    /// Records the sends with instruments of this meter: `messaging.client.operation.duration` and
    /// `messaging.client.sent.messages`.
    #[must_use]
    pub fn with_meter(mut self, meter: &Meter) -> Self {
        self.metrics = SendMetrics::new(meter, &self.queue);
        self
    }

    /// Returns the URL of the queue.
    #[must_use]
    pub fn url(&self) -> &QueueUrl {
        &self.queue
    }

    /// Checks that the queue exists and that its attributes may be read.
    ///
    /// # Errors
    ///
    /// Returns an error if SQS rejects the call, or does not respond within the client's timeouts
    /// and retries.
    pub async fn check(&self) -> Result<(), QueueError> {
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

    /// Starts the span of a send under `parent` and decides which attributes are added to the
    /// message. This is the part of a send that needs the tracer and the propagator.
    pub fn prepare<'a, T>(
        &'a self,
        tracer: &T,
        propagator: &dyn TextMapPropagator,
        parent: &Context,
        message: &'a OutgoingMessage,
    ) -> PreparedSend<'a>
    where
        T: Tracer,
        T::Span: Send + Sync + 'static,
    {
        let adds_header = self.adds_trace_header && message.trace_header.is_none();
        let source = match ContextSource::detect(message, propagator) {
            ContextSource::Missing if adds_header => ContextSource::Send,
            source => source,
        };
        let context = parent.with_span(span::start(tracer, &self.queue, &source, parent));
        let mut added = source.select_attributes(message, propagator, &context);
        if adds_header && source == ContextSource::Send && added.trace_header.is_none() {
            added.trace_header = xray_header(context.span().span_context());
        }
        PreparedSend {
            queue_client: self,
            added,
            message,
            measurement: self.metrics.start_send(),
            span: SpanGuard(context),
        }
    }
}

/// Omits the configuration of the AWS SDK, which is long.
impl fmt::Debug for QueueClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("QueueClient")
            .field("queue", &self.queue.as_str())
            .finish_non_exhaustive()
    }
}

impl PreparedSend<'_> {
    /// Sends the message. Returns once SQS has accepted it.
    ///
    /// The added attributes never make a send fail. If SQS rejects the message because of its size,
    /// it is sent again with fewer of them: optional attributes are dropped first, then `baggage`,
    /// `tracestate` and the rest of the trace context. The calls together stay within the operation
    /// timeout of the client. The attributes `baton.context.dropped` and
    /// `baton.attributes.dropped` of the span name what was dropped. The span's kind does not
    /// change in that case, because OpenTelemetry sets it at the start.
    ///
    /// # Errors
    ///
    /// Returns an error if the message breaks a rule of SQS (nothing was sent), if it is larger
    /// than the queue accepts without added attributes, if SQS rejects it for another reason, or if
    /// SQS does not respond within the client's timeouts and retries (it may have been sent).
    pub async fn send(self) -> Result<SendOutput, QueueSendError> {
        let Self {
            queue_client,
            message,
            added,
            measurement,
            span,
        } = self;
        let context = &span.0;
        let traced = context.with_value(TracedCall);
        let sent = send(queue_client, message, added, context).with_context(traced);
        let outcome = sent.await;
        measurement.finish(outcome.as_ref().err());
        span::finish(&context.span(), outcome.as_ref().err());
        outcome
    }
}

/// Omits the added attributes: their values may be personal data, such as baggage.
impl fmt::Debug for PreparedSend<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PreparedSend")
            .field("queue", &self.queue_client.queue.as_str())
            .field("message", self.message)
            .finish_non_exhaustive()
    }
}

async fn send(
    queue_client: &QueueClient,
    message: &OutgoingMessage,
    mut added: AddedAttributes,
    context: &Context,
) -> Result<SendOutput, QueueSendError> {
    let QueueClient {
        client,
        queue,
        limit,
        ..
    } = queue_client;
    message.check_for(queue)?;
    let call = SendMessageCall {
        client,
        queue,
        message,
    };
    let accepted = call.send(&mut added, limit).await;
    let span = context.span();
    span::record_dropped(&span, added);
    let accepted = accepted?;
    span::record_accepted(&span, accepted.message_id(), accepted.request_id());
    SendOutput::from_response(
        &message.body,
        accepted.message_id,
        accepted.sequence_number,
        accepted.md5_of_message_body.as_deref(),
    )
}
