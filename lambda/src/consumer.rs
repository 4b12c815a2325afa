//! Entry points: the options of a consumer, and the ways to run it.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::num::{NonZeroU32, NonZeroUsize};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use baton_telemetry::Telemetry;
use futures_util::future::BoxFuture;
use opentelemetry::KeyValue;
use tower::layer::util::{Identity, Stack};

use crate::batch::BoxedRecordHandler;
use crate::config::{AllFailed, FlushPoint, Options, PartialResponse, TraceShape};
use crate::dead_letter::DeadLetterQueue;
use crate::envelope::Envelope;
use crate::error::Error;
use crate::failure::{Class, Classifiers};
use crate::handler::{
    BatchHandler, BoxedBatchHandler, BoxedMessageHandler, Handler, HandlerLayers, MessageBody,
    NoLayers,
};
use crate::message::Message;
use crate::service::ConsumerService;
use crate::trace_context::{AdditionalExtractor, check_telemetry};

mod start;

/// Runs `handler` for each message until Lambda ends the process.
///
/// Shorthand for [`Consumer::builder`] without options, so that the environment configures the
/// consumer.
///
/// ```no_run
/// use baton_lambda::{Failure, Message};
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> Result<(), baton_lambda::Error> {
///     baton_lambda::run(handle).await
/// }
///
/// async fn handle(message: Message<String>) -> Result<(), Failure> {
///     println!("received {}", message.id());
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// See [`ConsumerBuilder::run`].
pub fn run<H, Args>(handler: H) -> Run
where
    H: Handler<(), Args>,
{
    Consumer::builder().run(handler)
}

/// Future of [`run`] and [`ConsumerBuilder::run`].
///
/// The type does not contain the handler's type. Otherwise the compiler would report a wrong
/// handler again for the future and for its `await`.
pub struct Run(Pin<Box<dyn Future<Output = Result<(), Error>>>>);

impl Future for Run {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Run").finish_non_exhaustive()
    }
}

/// An SQS consumer. [`Consumer::builder`] sets its options and runs it.
///
/// ```no_run
/// use std::time::Duration;
///
/// use baton_lambda::{Consumer, Envelope, Failure, Message};
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> Result<(), baton_lambda::Error> {
///     Consumer::builder()
///         .envelope(Envelope::Sns)
///         .flush_timeout(Duration::from_millis(500))
///         .run(handle)
///         .await
/// }
///
/// async fn handle(message: Message<String>) -> Result<(), Failure> {
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Consumer(());

impl Consumer {
    /// Creates a builder without options. Each option that is not set has the value of its
    /// environment variable, or its default.
    #[must_use]
    pub fn builder() -> ConsumerBuilder<(), Identity> {
        ConsumerBuilder {
            state: (),
            layers: Identity::new(),
            settings: Settings::default(),
        }
    }
}

/// Options of a consumer. An option that is set here takes precedence over its environment
/// variable, which takes precedence over the default.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use baton_lambda::{Consumer, Failure, Message};
///
/// struct Prices;
///
/// async fn handle(message: Message<String>, prices: Arc<Prices>) -> Result<(), Failure> {
///     Ok(())
/// }
///
/// # async fn example() -> Result<(), baton_lambda::Error> {
/// let builder = Consumer::builder().state(Arc::new(Prices));
/// builder.run(handle).await
/// # }
/// ```
///
/// `S` is the type of the state, and `L` that of the [layers](Self::layer).
#[derive(Debug, Clone)]
pub struct ConsumerBuilder<S, L = Identity> {
    state: S,
    layers: L,
    settings: Settings,
}

impl<S, L> ConsumerBuilder<S, L> {
    /// Sets the state. A handler with a second argument gets a clone of it for each message, so it
    /// is usually an `Arc`.
    pub fn state<T>(self, state: T) -> ConsumerBuilder<T, L>
    where
        T: Clone + Send + Sync + 'static,
    {
        ConsumerBuilder {
            state,
            layers: self.layers,
            settings: self.settings,
        }
    }

    /// Adds a tower layer around the handler of each message. The first layer that is added is the
    /// outermost: it sees a message first and its result last, as with `tower::ServiceBuilder`.
    ///
    /// A layer wraps a service that handles a decoded [`Message<T>`](crate::Message). The response
    /// of the service is `()`. Its error is a boxed [`HandlerError`](crate::HandlerError) with the
    /// handler's [`Failure`](crate::Failure), unless an inner layer replaced it. The layered
    /// service must be `Clone`, because messages are handled concurrently. It runs inside the
    /// message's span, until the message is cancelled.
    ///
    /// A layer's own error fails the message: it is retryable unless it is
    /// [classified](Self::classify).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use baton_lambda::testing::Batch;
    /// use baton_lambda::{Class, Consumer, Failure, Message};
    /// use tower::timeout::TimeoutLayer;
    /// use tower::timeout::error::Elapsed;
    ///
    /// async fn handle(message: Message<String>) -> Result<(), Failure> {
    ///     tokio::time::sleep(Duration::from_secs(60)).await;
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let consumer = Consumer::builder()
    ///     .layer(TimeoutLayer::new(Duration::from_secs(5)))
    ///     .classify(|_: &Elapsed| Class::retry("timeout"));
    /// let outcome = Batch::standard("orders").message("1").run_with(consumer, handle).await;
    /// assert_eq!(outcome.spans()[0].attributes["error.type"], "timeout");
    /// # }
    /// ```
    pub fn layer<N>(self, layer: N) -> ConsumerBuilder<S, Stack<N, L>> {
        ConsumerBuilder {
            state: self.state,
            layers: Stack::new(layer, self.layers),
            settings: self.settings,
        }
    }

    /// Gives a [class](Class) to the errors of one type. The function returns a `Class`, or an
    /// `Option<Class>` if it leaves some errors unclassified.
    ///
    /// A classifier applies to a [`Failure`](crate::Failure) to which the handler gave no class. It
    /// finds its error in the chain of sources. If there are several classifiers for one type, the
    /// first that returns a class decides.
    ///
    /// ```
    /// use baton_lambda::testing::Batch;
    /// use baton_lambda::{Class, Consumer, Message};
    ///
    /// #[derive(Debug, thiserror::Error)]
    /// enum OnboardError {
    ///     #[error("the address is invalid")]
    ///     BadAddress,
    ///     #[error("the store is busy")]
    ///     Busy,
    /// }
    ///
    /// async fn handle(message: Message<String>) -> Result<(), OnboardError> {
    ///     match message.body.as_str() {
    ///         "" => Err(OnboardError::BadAddress),
    ///         _ => Err(OnboardError::Busy),
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let consumer = Consumer::builder().classify(|error: &OnboardError| match error {
    ///     OnboardError::BadAddress => Class::permanent("bad_address"),
    ///     OnboardError::Busy => Class::retry("store_busy"),
    /// });
    /// let outcome = Batch::standard("customers").raw_message("").run_with(consumer, handle).await;
    /// assert_eq!(outcome.spans()[0].attributes["error.type"], "bad_address");
    /// # }
    /// ```
    #[must_use]
    pub fn classify<E, C>(mut self, classify: impl Fn(&E) -> C + Send + Sync + 'static) -> Self
    where
        E: StdError + 'static,
        C: Into<Option<Class>>,
    {
        self.settings.classifiers.add(classify);
        self
    }

    /// Adds fields to all log lines and log records of each message, including the runtime's own.
    /// The function gets the message without its body, before the body is decoded.
    /// [`Message::log_field`](crate::Message::log_field) adds fields later.
    ///
    /// If the function panics, a warning is logged, and the message is handled without the fields.
    ///
    /// ```
    /// use baton_lambda::Consumer;
    /// use baton_lambda::opentelemetry::KeyValue;
    ///
    /// let consumer = Consumer::builder().log_fields(|message| {
    ///     let tenant = message.attribute("tenant");
    ///     tenant.map(|tenant| KeyValue::new("tenant", tenant.into_owned()))
    /// });
    /// ```
    #[must_use]
    pub fn log_fields<I>(
        mut self,
        log_fields: impl Fn(&Message<()>) -> I + Send + Sync + 'static,
    ) -> Self
    where
        I: IntoIterator<Item = KeyValue>,
    {
        let log_fields = move |message: &Message<()>| log_fields(message).into_iter().collect();
        self.settings.log_fields = Some(Arc::new(log_fields));
        self
    }

    /// Sets the telemetry. Use this if the program provides exporters, a sampler or other parts
    /// (see [`TelemetryBuilder`](crate::TelemetryBuilder)), or emits telemetry before the consumer
    /// runs. By default, the consumer initialises telemetry itself.
    #[must_use]
    pub fn telemetry(mut self, telemetry: Telemetry) -> Self {
        self.settings.telemetry = Some(telemetry);
        self.settings.check_telemetry = Some(check_telemetry);
        self
    }

    /// Sets the number of messages handled at the same time; for a FIFO queue, the number of
    /// message groups. Default: `BATON_CONCURRENCY`, or 10.
    #[must_use]
    pub fn concurrency(mut self, concurrency: NonZeroUsize) -> Self {
        self.settings.options.concurrency = Some(concurrency);
        self
    }

    /// Sets the envelope of message bodies. Default: `BATON_ENVELOPE`, or [`Envelope::None`].
    #[must_use]
    pub fn envelope(mut self, envelope: Envelope) -> Self {
        self.settings.options.envelope = Some(envelope);
        self
    }

    /// Sets the parent of message spans. Default: `BATON_TRACE_SHAPE`, or [`TraceShape::Continue`].
    #[must_use]
    pub fn trace_shape(mut self, shape: TraceShape) -> Self {
        self.settings.options.trace_shape = Some(shape);
        self
    }

    /// Sets when the spans of an invocation are exported. Default: `BATON_FLUSH_POINT`, or
    /// [`FlushPoint::BeforeResponse`].
    #[must_use]
    pub fn flush_point(mut self, point: FlushPoint) -> Self {
        self.settings.options.flush_point = Some(point);
        self
    }

    /// Sets the maximum duration of a flush, including the wait for an export that is already
    /// running. A flush always ends before the invocation's deadline. Default:
    /// `BATON_FLUSH_TIMEOUT` in milliseconds, or one second.
    #[must_use]
    pub fn flush_timeout(mut self, timeout: Duration) -> Self {
        self.settings.options.flush_timeout = Some(timeout);
        self
    }

    /// Sets the time before the invocation's deadline at which the batch is drained: from then on,
    /// no message is started, and the remaining messages fail with `error.type`
    /// `deadline_exceeded`. Default: `BATON_DRAIN_BEFORE_DEADLINE` in milliseconds, or 1.5 s or a
    /// tenth of the invocation's time, whichever is longer.
    ///
    /// Limited to half of the time that the invocation has.
    #[must_use]
    pub fn drain_before_deadline(mut self, time: Duration) -> Self {
        self.settings.options.drain_before_deadline = Some(time);
        self
    }

    /// Sets the time before the invocation's deadline at which running handlers are cancelled.
    /// Their messages fail with `error.type` `deadline_exceeded`. The remaining time is for the
    /// flush and the response. Default: `BATON_CANCEL_BEFORE_DEADLINE` in milliseconds, or the
    /// flush timeout plus 100 ms.
    ///
    /// A handler is cancelled at an `await`, by dropping its future. A handler that blocks the
    /// thread cannot be cancelled. Limited to half of the time that the invocation has.
    #[must_use]
    pub fn cancel_before_deadline(mut self, time: Duration) -> Self {
        self.settings.options.cancel_before_deadline = Some(time);
        self
    }

    /// Sets whether the event source mapping reads partial batch responses. Default:
    /// `BATON_PARTIAL_RESPONSE`, or [`PartialResponse::On`]. **`On` requires
    /// `ReportBatchItemFailures` on the mapping. Without it, AWS deletes the failed messages.**
    #[must_use]
    pub fn partial_response(mut self, partial_response: PartialResponse) -> Self {
        self.settings.options.partial_response = Some(partial_response);
        self
    }

    /// Sets the response to a batch of which every message failed. Default: `BATON_ALL_FAILED`, or
    /// [`AllFailed::Report`].
    #[must_use]
    pub fn all_failed(mut self, all_failed: AllFailed) -> Self {
        self.settings.options.all_failed = Some(all_failed);
        self
    }

    /// Sets `maxReceiveCount` of the queue's redrive policy. Spans of messages that the policy
    /// moves after one more failure then have the attribute `baton.sqs.next_failure_dead_letters`.
    /// Default: `BATON_MAX_RECEIVE_COUNT`, or unknown, which omits the attribute.
    #[must_use]
    pub fn max_receive_count(mut self, count: NonZeroU32) -> Self {
        self.settings.options.max_receive_count = Some(count);
        self
    }

    /// Reports queue latencies to CloudWatch: the time from the sending of each message to the
    /// start of its handler. The consumer writes one line to stdout for each batch, or for every
    /// 100 messages of a larger batch, in the embedded metric format. CloudWatch creates the metric
    /// `QueueLatency` from the lines, in milliseconds, with the same namespace and dimensions as
    /// the metrics of [losses](baton_telemetry#if-the-collector-fails). An alarm on its percentiles
    /// does not depend on a collector. Default: `BATON_CLOUDWATCH_QUEUE_LATENCY`, or off.
    ///
    /// AWS charges for the custom metric and for the lines. Lambda discards the lines if the
    /// function's application log level is above INFO.
    #[must_use]
    pub fn cloudwatch_queue_latency(mut self, is_reported: bool) -> Self {
        self.settings.options.cloudwatch_queue_latency = Some(is_reported);
        self
    }

    /// Sets the dead-letter queue. [Permanent](crate::Failure::permanent) failures are sent to it
    /// immediately and then count as done. Default: `BATON_DEAD_LETTER_QUEUE_URL`, or none:
    /// permanent failures are reported like other failures, and SQS redelivers them until the
    /// queue's redrive policy moves them. Requires the feature `dead-letter-queue`.
    #[cfg(feature = "dead-letter-queue")]
    #[must_use]
    pub fn dead_letter_queue(mut self, queue: DeadLetterQueue) -> Self {
        self.settings.dead_letters = Some(queue);
        self
    }

    /// Enables graceful shutdown: Lambda announces the shutdown, running invocations end early, and
    /// telemetry is flushed. Default: `BATON_GRACEFUL_SHUTDOWN`, or off. Requires the feature
    /// `graceful-shutdown`.
    ///
    /// Without it, the process is killed without notice. On ordinary Lambda this happens between
    /// invocations, when everything is flushed. On Lambda Managed Instances it can happen at any
    /// time.
    ///
    /// After the announcement, no message is started. Running handlers are cancelled after 120 ms,
    /// and their messages fail with `error.type` `shutdown`. A flush gets 100 ms, and the process
    /// exits after 270 ms. These times fit into the 300 ms that Lambda gives a runtime with an
    /// external extension (500 ms if all extensions are internal). If Lambda rejects the internal
    /// extension that this option registers, the process still handles SIGTERM, because an external
    /// extension makes Lambda send it.
    #[cfg(feature = "graceful-shutdown")]
    #[must_use]
    pub fn graceful_shutdown(mut self) -> Self {
        self.settings.options.graceful_shutdown = Some(true);
        self
    }

    /// Initialises telemetry and handles messages until Lambda ends the process.
    ///
    /// Handles one batch at a time. On Lambda Managed Instances, handles
    /// `AWS_LAMBDA_MAX_CONCURRENCY` batches at the same time; use tokio's multi-thread runtime
    /// there, because the instances have several processors.
    ///
    /// # Errors
    ///
    /// Returns an error if a `BATON_*` variable is invalid, if the telemetry has an exporter that
    /// cannot run in an invocation, if the process was not started by Lambda, or if the Runtime API
    /// cannot be reached. Errors and panics of the handler become failed messages and do not end
    /// the loop.
    pub fn run<H, T, Args>(self, handler: H) -> Run
    where
        H: Handler<S, Args, Body = T>,
        S: Send + Sync + 'static,
        T: MessageBody,
        L: HandlerLayers<T>,
    {
        let (handler, settings) = self.into_parts(handler);
        Run(Box::pin(start::run(handler, settings)))
    }

    /// Initialises telemetry and returns the consumer as a tower service, for programs that
    /// assemble the Lambda runtime themselves.
    ///
    /// The service does not include graceful shutdown, which is part of [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// Returns an error if a `BATON_*` variable is invalid, or if the telemetry has an exporter
    /// that cannot run in an invocation.
    pub fn service<H, T, Args>(
        self,
        handler: H,
    ) -> BoxFuture<'static, Result<ConsumerService, Error>>
    where
        H: Handler<S, Args, Body = T>,
        S: Send + Sync + 'static,
        T: MessageBody,
        L: HandlerLayers<T>,
    {
        let (handler, settings) = self.into_parts(handler);
        Box::pin(start::service(handler, settings))
    }

    /// Returns the handler with its state and layers, and the other settings.
    pub(crate) fn into_parts<H, T, Args>(self, handler: H) -> (BoxedRecordHandler, Settings)
    where
        H: Handler<S, Args, Body = T>,
        S: Send + Sync + 'static,
        T: MessageBody,
        L: HandlerLayers<T>,
    {
        let handler = BoxedMessageHandler::new(handler, self.state, self.layers);
        (Box::new(handler), self.settings)
    }
}

/// Consumers of whole batches.
impl<S, L> ConsumerBuilder<S, L> {
    /// Initialises telemetry and handles batches until Lambda ends the process, as
    /// [`run`](Self::run) does. The handler gets all messages of a batch at once, for a store that
    /// writes many rows in one request.
    ///
    /// The handler runs inside the batch span. Each message still has its own span, from the start
    /// of the handler to its end, and its own result. The handler settles a message with
    /// [`Messages::fail`](crate::Messages::fail) or
    /// [`Messages::complete`](crate::Messages::complete). The result of the handler applies to the
    /// messages that it has not settled: they are done if it returns `Ok`, and fail if it returns
    /// an error, panics or is cancelled.
    ///
    /// On a FIFO queue, all messages of a group after a failed one fail too, even if the handler
    /// has completed them. Otherwise SQS would redeliver the failed message after them.
    /// [`concurrency`](Self::concurrency) applies only to sends to the dead-letter queue.
    ///
    /// # Errors
    ///
    /// See [`run`](Self::run).
    pub fn run_batch<H, Args>(self, handler: H) -> Run
    where
        H: BatchHandler<S, Args>,
        S: Send + Sync + 'static,
        L: NoLayers,
    {
        let (handler, settings) = self.into_batch_parts(handler);
        Run(Box::pin(start::run(handler, settings)))
    }

    /// Returns the handler with its state, and the other settings.
    pub(crate) fn into_batch_parts<H, Args>(self, handler: H) -> (BoxedRecordHandler, Settings)
    where
        H: BatchHandler<S, Args>,
        S: Send + Sync + 'static,
    {
        let handler = BoxedBatchHandler::new(handler, self.state);
        (Box::new(handler), self.settings)
    }
}

/// Function that returns the log fields of a message.
pub(crate) type LogFields = dyn Fn(&Message<()>) -> Vec<KeyValue> + Send + Sync;

/// Type of [`check_telemetry`]. A function pointer, so that only a program that provides telemetry
/// contains the function.
pub(crate) type CheckTelemetry = fn(&Telemetry) -> Result<Option<AdditionalExtractor>, Error>;

/// Settings of a consumer that do not depend on the type of its handler.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    pub(crate) options: Options,
    pub(crate) telemetry: Option<Telemetry>,
    /// Set together with `telemetry`. See [`check_telemetry`].
    pub(crate) check_telemetry: Option<CheckTelemetry>,
    pub(crate) dead_letters: Option<DeadLetterQueue>,
    pub(crate) classifiers: Classifiers,
    pub(crate) log_fields: Option<Arc<LogFields>>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("options", &self.options)
            .field("classifiers", &self.classifiers)
            .finish_non_exhaustive()
    }
}
