//! Entry points: the options of a consumer, and the ways to run it.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::SqsBatchResponse;
use baton_telemetry::{ServiceInfo, Telemetry};
use lambda_runtime::{LambdaEvent, Runtime};
use tracing::{info, warn};

use crate::batch::BatchProcessor;
use crate::config::{
    AllFailed, ConsumerConfig, Environment, FlushPoint, Keyword, Options, PartialResponse,
    TraceShape, check_runtime_variables, runtime_api_address,
};
use crate::dead_letter::DeadLetterQueue;
use crate::envelope::Envelope;
use crate::error::Error;
use crate::event_loop;
use crate::flush::Flusher;
use crate::handler::Handler;
use crate::invocation::{InvocationError, InvocationHandler};
use crate::panic_abort::PanicHook;
use crate::payload::{self, PayloadLayer};
use crate::service::ConsumerService;
use crate::shutdown::{self, Shutdown};

/// `service.name` outside Lambda, where the function has no name (resource conventions).
const UNKNOWN_SERVICE: &str = "unknown_service";

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
pub async fn run<H, Args>(handler: H) -> Result<(), Error>
where
    H: Handler<(), Args>,
    Args: 'static,
{
    Consumer::builder().run(handler).await
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
    pub fn builder() -> ConsumerBuilder<()> {
        ConsumerBuilder {
            state: (),
            options: Options::default(),
            telemetry: None,
            dead_letters: None,
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
#[derive(Debug, Clone)]
pub struct ConsumerBuilder<S> {
    state: S,
    options: Options,
    telemetry: Option<Telemetry>,
    dead_letters: Option<DeadLetterQueue>,
}

impl<S> ConsumerBuilder<S> {
    /// Sets the state. A handler with a second argument gets a clone of it for each message, so it
    /// is usually an `Arc`.
    pub fn state<T>(self, state: T) -> ConsumerBuilder<T>
    where
        T: Clone + Send + Sync + 'static,
    {
        ConsumerBuilder {
            state,
            options: self.options,
            telemetry: self.telemetry,
            dead_letters: self.dead_letters,
        }
    }

    /// Sets the telemetry. Use this if the program emits telemetry before the consumer runs. By
    /// default, the consumer initialises telemetry itself.
    #[must_use]
    pub fn telemetry(mut self, telemetry: Telemetry) -> Self {
        self.telemetry = Some(telemetry);
        self
    }

    /// Sets the number of messages handled at the same time; for a FIFO queue, the number of
    /// message groups. Default: `BATON_CONCURRENCY`, or 10.
    #[must_use]
    pub fn concurrency(mut self, concurrency: NonZeroUsize) -> Self {
        self.options.concurrency = Some(concurrency);
        self
    }

    /// Sets the envelope of message bodies. Default: `BATON_ENVELOPE`, or [`Envelope::None`].
    #[must_use]
    pub fn envelope(mut self, envelope: Envelope) -> Self {
        self.options.envelope = Some(envelope);
        self
    }

    /// Sets the parent of message spans. Default: `BATON_TRACE_SHAPE`, or [`TraceShape::Continue`].
    #[must_use]
    pub fn trace_shape(mut self, shape: TraceShape) -> Self {
        self.options.trace_shape = Some(shape);
        self
    }

    /// Sets when the spans of an invocation are exported. Default: `BATON_FLUSH_POINT`, or
    /// [`FlushPoint::BeforeResponse`].
    #[must_use]
    pub fn flush_point(mut self, point: FlushPoint) -> Self {
        self.options.flush_point = Some(point);
        self
    }

    /// Sets the maximum duration of a flush, including the wait for an export that is already
    /// running. A flush always ends before the invocation's deadline. Default:
    /// `BATON_FLUSH_TIMEOUT` in milliseconds, or one second.
    #[must_use]
    pub fn flush_timeout(mut self, timeout: Duration) -> Self {
        self.options.flush_timeout = Some(timeout);
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
        self.options.drain_before_deadline = Some(time);
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
        self.options.cancel_before_deadline = Some(time);
        self
    }

    /// Sets whether the event source mapping reads partial batch responses. Default:
    /// `BATON_PARTIAL_RESPONSE`, or [`PartialResponse::On`]. **`On` requires
    /// `ReportBatchItemFailures` on the mapping. Without it, AWS deletes the failed messages.**
    #[must_use]
    pub fn partial_response(mut self, partial_response: PartialResponse) -> Self {
        self.options.partial_response = Some(partial_response);
        self
    }

    /// Sets the response to a batch of which every message failed. Default: `BATON_ALL_FAILED`, or
    /// [`AllFailed::Report`].
    #[must_use]
    pub fn all_failed(mut self, all_failed: AllFailed) -> Self {
        self.options.all_failed = Some(all_failed);
        self
    }

    /// Sets `maxReceiveCount` of the queue's redrive policy. Spans of messages that the policy
    /// moves after one more failure then have the attribute `baton.sqs.next_failure_dead_letters`.
    /// Default: `BATON_MAX_RECEIVE_COUNT`, or unknown, which omits the attribute.
    #[must_use]
    pub fn max_receive_count(mut self, count: NonZeroU32) -> Self {
        self.options.max_receive_count = Some(count);
        self
    }

    /// Sets the dead-letter queue. [Permanent](crate::Failure::permanent) failures are sent to it
    /// immediately and then count as done. Default: `BATON_DEAD_LETTER_QUEUE_URL`, or none:
    /// permanent failures are reported like other failures, and SQS redelivers them until the
    /// queue's redrive policy moves them. Requires the feature `dead-letter-queue`.
    #[cfg(feature = "dead-letter-queue")]
    #[must_use]
    pub fn dead_letter_queue(mut self, queue: DeadLetterQueue) -> Self {
        self.dead_letters = Some(queue);
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
        self.options.graceful_shutdown = Some(true);
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
    /// Returns an error if a `BATON_*` variable is invalid, if the process was not started by
    /// Lambda, or if the Runtime API cannot be reached. Errors and panics of the handler become
    /// failed messages and do not end the loop.
    pub async fn run<H, Args>(self, handler: H) -> Result<(), Error>
    where
        H: Handler<S, Args>,
        S: Send + Sync + 'static,
        Args: 'static,
    {
        check_runtime_variables()?;
        let (processor, flusher, max_concurrency) = self.set_up(handler).await?;
        let invocation_handler = Arc::new(InvocationHandler::new(processor, Arc::clone(&flusher)));
        let flush_layer = invocation_handler.flush_layer();
        let service = tower::service_fn(
            move |LambdaEvent {
                      payload: (),
                      context,
                  }| {
                let invocation_handler = Arc::clone(&invocation_handler);
                // Boxed, because each layer of the runtime moves the future that it is given.
                Box::pin(async move {
                    let event = LambdaEvent::new(payload::take(), context);
                    invocation_handler.handle(event).await
                })
            },
        );
        let signal = shutdown::register(&flusher.config).await;
        let runtime = Runtime::new(service).layer(PayloadLayer).layer(flush_layer);
        tokio::select! {
            outcome = event_loop::run(runtime, max_concurrency) => {
                outcome.map_err(|error| Error::Runtime {
                    address: runtime_api_address().unwrap_or_default(),
                    error,
                })
            }
            () = shutdown::wait(signal, &flusher.shutdown, &flusher.telemetry) => Ok(()),
        }
    }

    /// Initialises telemetry and returns the consumer as a tower service, for programs that
    /// assemble the Lambda runtime themselves.
    ///
    /// The service does not include graceful shutdown, which is part of [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// Returns an error if a `BATON_*` variable is invalid.
    pub async fn service<H, Args>(self, handler: H) -> Result<ConsumerService<H, S, Args>, Error>
    where
        H: Handler<S, Args>,
    {
        let (processor, flusher, _) = self.set_up(handler).await?;
        Ok(ConsumerService::new(InvocationHandler::new(
            processor, flusher,
        )))
    }

    /// Handles one event for [`testing`](crate::testing), with defaults in place of the
    /// environment.
    pub(crate) async fn invoke_once<H, Args>(
        self,
        handler: H,
        telemetry: Telemetry,
        event: LambdaEvent<Vec<u8>>,
    ) -> Result<SqsBatchResponse, InvocationError>
    where
        H: Handler<S, Args>,
    {
        let config = self.options.apply_to(ConsumerConfig::default());
        let processor = BatchProcessor::new(
            handler,
            self.state,
            config.clone(),
            &telemetry,
            self.dead_letters,
        );
        let flusher = Flusher {
            telemetry,
            config,
            shutdown: Shutdown::default(),
            is_concurrent: false,
        };
        let invocation_handler = Arc::new(InvocationHandler::new(processor, Arc::new(flusher)));
        invocation_handler.handle(event).await
    }

    async fn set_up<H, Args>(
        self,
        handler: H,
    ) -> Result<(BatchProcessor<H, S, Args>, Arc<Flusher>, NonZeroUsize), Error> {
        let environment = Environment::read().map_err(Error::Config)?;
        let telemetry = match self.telemetry {
            Some(telemetry) => telemetry,
            None => init_telemetry().await,
        };
        let config = self.options.apply_to(environment.config);
        let dead_letters = match (self.dead_letters, environment.dead_letter_queue) {
            (None, Some(url)) => Some(open_dead_letter_queue(&url).await?),
            (queue, _) => queue,
        };
        log_start(&config, dead_letters.as_ref());
        for unknown in environment.unknown {
            warn!(
                variable = unknown.name,
                suggestion = unknown.suggestion,
                "unknown environment variable ignored"
            );
        }
        let hook = PanicHook::install(&config, &telemetry);
        let processor = BatchProcessor::new(
            handler,
            self.state,
            config.clone(),
            &telemetry,
            dead_letters,
        )
        .with_panic_hook(hook);
        let flusher = Flusher {
            telemetry,
            config,
            shutdown: Shutdown::default(),
            is_concurrent: environment.max_concurrency.get() > 1,
        };
        Ok((processor, Arc::new(flusher), environment.max_concurrency))
    }
}

/// The service of the resource. Has no version, because `faas.version` is the function's version
/// and this library's version would be mistaken for it.
const SERVICE: ServiceInfo = ServiceInfo {
    name: UNKNOWN_SERVICE,
    version: None,
};

async fn init_telemetry() -> Telemetry {
    let builder = Telemetry::builder(SERVICE);
    #[cfg(feature = "secrets")]
    let builder = builder.header_source(baton_secrets::open);
    builder.init().await
}

async fn open_dead_letter_queue(url: &str) -> Result<DeadLetterQueue, Error> {
    let queue = DeadLetterQueue::from_environment(url).await;
    queue.map_err(|error| Error::DeadLetterQueue(Box::new(error)))
}

/// Logs the effective configuration. Keywords are spelled as in the environment variables.
fn log_start(config: &ConsumerConfig, dead_letters: Option<&DeadLetterQueue>) {
    info!(
        concurrency = config.concurrency,
        envelope = config.envelope.keyword(),
        trace_shape = config.trace_shape.keyword(),
        flush_point = config.flush_point.keyword(),
        flush_timeout_ms = milliseconds(config.flush_timeout),
        drain_before_deadline_ms = config.drain_before_deadline.map(milliseconds),
        cancel_before_deadline_ms = config.cancel_before_deadline.map(milliseconds),
        partial_response = config.partial_response.keyword(),
        all_failed = config.all_failed.keyword(),
        max_receive_count = config.max_receive_count,
        dead_letter_queue = dead_letters.map(DeadLetterQueue::name),
        graceful_shutdown = config.graceful_shutdown.keyword(),
        "consumer started"
    );
}

/// Returns a duration in the unit of the environment variables.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
