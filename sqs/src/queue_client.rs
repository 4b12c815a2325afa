//! The client of one queue.

use std::fmt;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{BuildError, SdkError};
use aws_sdk_sqs::operation::RequestId as _;
use aws_sdk_sqs::operation::send_message::SendMessageError;
use aws_sdk_sqs::operation::send_message::builders::SendMessageFluentBuilder;
use aws_sdk_sqs::types::QueueAttributeName;
use opentelemetry::Context;
use opentelemetry::metrics::Meter;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{FutureExt as _, TraceContextExt as _, Tracer};

use crate::added_attributes::{AddedAttributes, add_trace_header};
use crate::call;
use crate::error::{QueueError, QueueSendError};
use crate::message::OutgoingMessage;
use crate::metrics::{SendMeasurement, SendMetrics};
use crate::queue::QueueUrl;
use crate::span::{self, SpanGuard};
use crate::stated_size_limit::StatedSizeLimit;
use crate::trace_context::ContextSource;

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
#[derive(Debug, Clone)]
pub struct QueueClient {
    client: Client,
    queue: QueueUrl,
    metrics: SendMetrics,
    limit: StatedSizeLimit,
}

/// A send whose span has started. If it is dropped, its span ends with `error.type` `cancelled`.
#[must_use = "the message is not sent until `send` is awaited"]
pub struct PreparedSend<'a> {
    queue_client: &'a QueueClient,
    message: &'a OutgoingMessage,
    added: AddedAttributes,
    measurement: SendMeasurement,
    span: SpanGuard,
}

/// The result of a send that SQS confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendOutput {
    /// The id that SQS gave the message.
    pub message_id: String,
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
        }
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
        let source = ContextSource::detect(message, propagator);
        let context = parent.with_span(span::start(tracer, &self.queue, &source, parent));
        PreparedSend {
            queue_client: self,
            added: source.select_attributes(message, propagator, &context),
            message,
            measurement: self.metrics.start_send(),
            span: SpanGuard(context),
        }
    }

    /// Builds the request without the added attributes.
    fn build_request(
        &self,
        message: &OutgoingMessage,
    ) -> Result<SendMessageFluentBuilder, BuildError> {
        let mut request = self
            .client
            .send_message()
            .queue_url(self.queue.as_str())
            .set_message_group_id(message.group_id.clone())
            .set_message_deduplication_id(message.deduplication_id.clone())
            .message_body(&message.body);
        for attribute in &message.attributes {
            let (name, value) = attribute.clone().into_sdk()?;
            request = request.message_attributes(name, value);
        }
        match &message.trace_header {
            Some(header) => add_trace_header(request, &header.value),
            None => Ok(request),
        }
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
        let sent = send(queue_client, message, added, context).with_context(context.clone());
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
    message.check()?;
    let size = message.size();
    let request = queue_client.build_request(message).map_err(|error| {
        let error = SdkError::<SendMessageError>::construction_failure(error);
        QueueError::from(error)
    })?;
    let QueueClient { client, limit, .. } = queue_client;
    let accepted = call::send_message(client, request, size, &mut added, limit).await;
    let span = context.span();
    span::record_dropped(&span, added);
    let accepted = accepted?;
    span::record_accepted(&span, accepted.message_id(), accepted.request_id());
    match accepted.message_id {
        Some(message_id) => Ok(SendOutput { message_id }),
        None => Err(QueueSendError::NoMessageId),
    }
}
