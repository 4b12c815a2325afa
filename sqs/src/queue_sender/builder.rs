//! The settings of a sender.

#[cfg(feature = "gather")]
use std::num::NonZeroUsize;
#[cfg(feature = "gather")]
use std::time::Duration;

use aws_sdk_sqs::Client;
use opentelemetry::global;
use opentelemetry::metrics::Meter;
use opentelemetry::trace::Tracer;

#[cfg(feature = "gather")]
use crate::gather::{BatchingSender, GatherConfig, GroupOrder, WhenFull};
use crate::queue::QueueUrl;
use crate::queue_client::QueueClient;
use crate::queue_sender::QueueSender;
use crate::tracer::SharedTracer;

/// Instrumentation scope of the global tracer, which is used if no other is set.
const SCOPE: &str = "baton.sqs";

/// Builder of a [`QueueSender`].
///
#[cfg_attr(feature = "gather", doc = "```no_run")]
#[cfg_attr(not(feature = "gather"), doc = "```ignore")]
/// # async fn example(sdk: aws_sdk_sqs::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// use baton_sqs::{QueueSender, QueueUrl, WhenFull};
///
/// let queue = QueueUrl::parse("https://sqs.eu-west-1.amazonaws.com/123456789012/onboarding")?;
/// let sender = QueueSender::builder(sdk, queue)
///     .tracer(opentelemetry::global::tracer("onboarding"))
///     .meter(&opentelemetry::global::meter("onboarding"))
///     .delivery_timeout(Duration::from_secs(5))
///     .when_full(WhenFull::Fail)
///     .build();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct QueueSenderBuilder {
    client: QueueClient,
    tracer: Option<SharedTracer>,
    has_content_based_deduplication: bool,
    #[cfg(feature = "gather")]
    call_timeout: Option<Duration>,
    #[cfg(feature = "gather")]
    gather: GatherConfig,
}

impl QueueSenderBuilder {
    pub(super) fn new(client: Client, queue: QueueUrl) -> Self {
        Self {
            client: QueueClient::new(client, queue),
            tracer: None,
            has_content_based_deduplication: false,
            #[cfg(feature = "gather")]
            call_timeout: None,
            #[cfg(feature = "gather")]
            gather: GatherConfig::default(),
        }
    }

    /// Sets the tracer of the spans. The default is the global tracer provider's at the time of
    /// [`build`](Self::build).
    pub fn tracer<T>(mut self, tracer: T) -> Self
    where
        T: Tracer + Send + Sync + 'static,
        T::Span: Send + Sync + 'static,
    {
        self.tracer = Some(SharedTracer::new(tracer));
        self
    }

    /// Records the sends with instruments of this meter: `messaging.client.operation.duration` and
    /// `messaging.client.sent.messages`.
    pub fn meter(mut self, meter: &Meter) -> Self {
        self.client = self.client.with_meter(meter);
        self
    }

    /// Adds the system attribute `AWSTraceHeader` to messages that carry the context of their send,
    /// for consumers that X-Ray traces. It takes no slot of the message attributes, and SQS does
    /// not count it against the message's size.
    pub fn trace_header(mut self) -> Self {
        self.client = self.client.with_trace_header();
        self
    }

    /// Leaves the deduplication ids to the queue, which derives them from the bodies
    /// (`ContentBasedDeduplication`). SQS then discards a message with the same body as another one
    /// of the last five minutes, even if both were meant to be sent.
    pub fn content_based_deduplication(mut self) -> Self {
        self.has_content_based_deduplication = true;
        self
    }

    /// Builds the sender.
    #[must_use]
    pub fn build(self) -> QueueSender {
        let tracer = self
            .tracer
            .unwrap_or_else(|| SharedTracer::new(global::tracer(SCOPE)));
        #[cfg(feature = "gather")]
        let batching = {
            let default = self.gather.delivery_timeout / GatherConfig::CALL_TIMEOUT_DIVISOR;
            let config = GatherConfig {
                call_timeout: self.call_timeout.unwrap_or(default),
                ..self.gather
            };
            BatchingSender::new(&self.client, tracer.clone(), config.bounded())
        };
        QueueSender {
            client: self.client,
            tracer,
            has_content_based_deduplication: self.has_content_based_deduplication,
            #[cfg(feature = "gather")]
            batching,
        }
    }
}

#[cfg(feature = "gather")]
impl QueueSenderBuilder {
    /// Sets the time for which a message waits for others if these are likely to come. The default
    /// is 5 ms. Timers have steps of a millisecond and round up, so the wait is up to 1.2 ms
    /// longer. With zero, a message waits only while the maximum number of batches is in flight.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.gather.linger = linger;
        self
    }

    /// Sets the maximum number of calls at the same time, each with its own connection. The default
    /// is 32.
    ///
    /// A sender needs its rate of messages times the response time of SQS, divided by ten: for
    /// 10,000 messages a second and 20 ms, 20 batches.
    pub fn max_batches_in_flight(mut self, batches: NonZeroUsize) -> Self {
        self.gather.max_batches_in_flight = batches;
        self
    }

    /// Sets the time for a message from its send to its confirmation by SQS, with all attempts and
    /// pauses. The default is 10 seconds. In a service, it should be shorter than the timeout of
    /// its clients.
    pub fn delivery_timeout(mut self, timeout: Duration) -> Self {
        self.gather.delivery_timeout = timeout;
        self
    }

    /// Sets the time after which a call without a response is given up, and its messages are sent
    /// again. SQS may have accepted them, so a short time leads to duplicates. The default is half
    /// of the delivery timeout.
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = Some(timeout);
        self
    }

    /// Sets the maximum number of messages and of bytes that SQS has not confirmed. The defaults
    /// are 10,000 messages and 32 MiB. There is always room for one message of the largest size.
    /// The message of a dropped send no longer counts, unless its call is in progress.
    pub fn buffer(mut self, messages: usize, bytes: usize) -> Self {
        self.gather.buffer_messages = messages;
        self.gather.buffer_bytes = bytes;
        self
    }

    /// Sets the behaviour of a send whose message has no room in the buffer. The default is to wait
    /// for a second.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.gather.when_full = when_full;
        self
    }

    /// Sets the order of the messages of one group on a FIFO queue. The default is
    /// [`GroupOrder::Strict`].
    pub fn group_order(mut self, order: GroupOrder) -> Self {
        self.gather.group_order = order;
        self
    }

    /// Omits the spans of the calls: only the sends have spans.
    pub fn without_call_spans(mut self) -> Self {
        self.gather.call_spans = false;
        self
    }
}
