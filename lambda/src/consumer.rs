//! The consumer: its options, and how it runs.

use std::fmt;
use std::marker::PhantomData;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Once};
use std::time::Duration;

use baton_telemetry::{Service, Telemetry};
use lambda_runtime::{LambdaEvent, Runtime};
use tracing::{field, info, warn};

use crate::batch::BatchProcessor;
use crate::config::{
    AllFailed, Config, DEAD_LETTER_QUEUE, Environment, FlushPoint, InvalidConfig, Options,
    PartialResponse, RuntimeVariableError, TraceShape, check_runtime_variables,
};
use crate::dead_letter::DeadLetterQueue;
use crate::envelope::Envelope;
use crate::event_loop;
use crate::flush::Flusher;
use crate::handler::Handler;
use crate::invocation::InvocationHandler;
use crate::metrics::Metrics;
use crate::panic_abort::PanicHook;
use crate::payload::{self, PayloadLayer};
use crate::service::ConsumerService;
use crate::shutdown::{Shutdown, ended};
use crate::spans::InvocationSpans;
use crate::trace_context::ContextExtractor;

mod once;

/// Instrumentation scope of the spans and metrics made here.
const SCOPE: &str = "baton.lambda";
/// `service.name` outside Lambda, where the function has no name (resource conventions).
const UNKNOWN_SERVICE: &str = "unknown_service";

/// Runs `handler` for every message until Lambda ends the process: [`Consumer::builder`] with all
/// options left to the environment.
///
/// # Errors
///
/// See [`Builder::run`].
pub async fn run<H, Args>(handler: H) -> Result<(), Error>
where
    H: Handler<(), Args>,
    Args: 'static,
{
    Consumer::builder().run(handler).await
}

/// Where a consumer's options begin.
#[derive(Debug)]
pub struct Consumer(());

impl Consumer {
    /// A consumer with the options that the environment names, to be changed before it runs.
    #[must_use]
    pub fn builder() -> Builder<()> {
        Builder {
            state: (),
            options: Options::default(),
            telemetry: None,
            dead_letters: None,
        }
    }
}

/// Options of a consumer. What is set here wins over the environment, which wins over the default.
#[derive(Debug, Clone)]
pub struct Builder<S> {
    state: S,
    options: Options,
    telemetry: Option<Telemetry>,
    dead_letters: Option<DeadLetterQueue>,
}

impl<S> Builder<S> {
    /// What handlers with a second argument get a clone of; usually an `Arc`.
    pub fn state<T>(self, state: T) -> Builder<T>
    where
        T: Clone + Send + Sync + 'static,
    {
        Builder {
            state,
            options: self.options,
            telemetry: self.telemetry,
            dead_letters: self.dead_letters,
        }
    }

    /// Telemetry that the program has set up itself, for whatever it does before the consumer runs.
    /// Else the consumer sets it up.
    #[must_use]
    pub fn telemetry(mut self, telemetry: Telemetry) -> Self {
        self.telemetry = Some(telemetry);
        self
    }

    /// How many messages are handled side by side; on a FIFO queue, how many message groups. One is
    /// one after the other. `BATON_CONCURRENCY`, else 10.
    #[must_use]
    pub fn concurrency(mut self, concurrency: NonZeroUsize) -> Self {
        self.options.concurrency = Some(concurrency);
        self
    }

    /// What bodies are wrapped in. `BATON_ENVELOPE`, else [`Envelope::None`].
    #[must_use]
    pub fn envelope(mut self, envelope: Envelope) -> Self {
        self.options.envelope = Some(envelope);
        self
    }

    /// Whose child a message's span is. `BATON_TRACE_SHAPE`, else [`TraceShape::Continue`].
    #[must_use]
    pub fn trace_shape(mut self, shape: TraceShape) -> Self {
        self.options.trace_shape = Some(shape);
        self
    }

    /// When an invocation's spans are sent. `BATON_FLUSH_POINT`, else
    /// [`FlushPoint::BeforeResponse`].
    #[must_use]
    pub fn flush_point(mut self, point: FlushPoint) -> Self {
        self.options.flush_point = Some(point);
        self
    }

    /// How long a flush may take at most, the wait for an export on the way included; it ends
    /// before the invocation's deadline in any case. `BATON_FLUSH_TIMEOUT` in milliseconds, else
    /// one second.
    #[must_use]
    pub fn flush_timeout(mut self, timeout: Duration) -> Self {
        self.options.flush_timeout = Some(timeout);
        self
    }

    /// How long before the invocation's deadline no further message is started: those that are left
    /// are reported as failed, with `error.type` `deadline_exceeded`. `BATON_DRAIN_BEFORE_DEADLINE`
    /// in milliseconds, else 1.5 s or a tenth of the time, whichever is more.
    ///
    /// Neither this nor [`cancel_before_deadline`](Self::cancel_before_deadline) takes more than
    /// half of the time that an invocation has.
    #[must_use]
    pub fn drain_before_deadline(mut self, time: Duration) -> Self {
        self.options.drain_before_deadline = Some(time);
        self
    }

    /// How long before the invocation's deadline handlers that still run are cancelled, and their
    /// messages reported as failed, with `error.type` `deadline_exceeded`. What is left is for the
    /// flush and the response. `BATON_CANCEL_BEFORE_DEADLINE` in milliseconds, else the flush's
    /// time and 100 ms.
    ///
    /// A handler is cancelled where it awaits: its future is dropped. One that blocks the thread is
    /// not.
    #[must_use]
    pub fn cancel_before_deadline(mut self, time: Duration) -> Self {
        self.options.cancel_before_deadline = Some(time);
        self
    }

    /// What the event source mapping understands. `BATON_PARTIAL_RESPONSE`, else
    /// [`PartialResponse::On`]: **the mapping must have `ReportBatchItemFailures`, or AWS deletes
    /// the failed messages.**
    #[must_use]
    pub fn partial_response(mut self, partial_response: PartialResponse) -> Self {
        self.options.partial_response = Some(partial_response);
        self
    }

    /// What the response is when every message of a batch has failed. `BATON_ALL_FAILED`, else
    /// [`AllFailed::Report`].
    #[must_use]
    pub fn all_failed(mut self, all_failed: AllFailed) -> Self {
        self.options.all_failed = Some(all_failed);
        self
    }

    /// `maxReceiveCount` of the queue's redrive policy: spans of messages that it takes away after
    /// one more failure say so. `BATON_MAX_RECEIVE_COUNT`, else they do not.
    #[must_use]
    pub fn max_receive_count(mut self, count: NonZeroU32) -> Self {
        self.options.max_receive_count = Some(count);
        self
    }

    /// Sends messages whose failure is [permanent](crate::Failure::permanent) to this queue at
    /// once, and then counts them as done. `BATON_DEAD_LETTER_QUEUE_URL`, else they are reported as
    /// failed like any other, and SQS delivers them until the queue's redrive policy takes them
    /// away. Needs the feature `dead-letter-queue`.
    #[cfg(feature = "dead-letter-queue")]
    #[must_use]
    pub fn dead_letter_queue(mut self, queue: DeadLetterQueue) -> Self {
        self.dead_letters = Some(queue);
        self
    }

    /// Has Lambda announce the end of the process, so that invocations under way come to their end
    /// and telemetry is flushed. `BATON_GRACEFUL_SHUTDOWN`, else the process is killed unannounced:
    /// on ordinary Lambda that happens between invocations, when everything is flushed. On Managed
    /// Instances it can happen at any time. Needs the feature `graceful-shutdown`.
    ///
    /// From the announcement on no message is started; handlers that run have 120 ms before they
    /// are cancelled and their messages reported as failed, with `error.type` `shutdown`; a flush
    /// has 100 ms, and all is over after 270 ms. That is for the 300 ms which Lambda gives a
    /// runtime beside an external extension (500 ms where all are internal). Where the internal
    /// extension that this registers is refused, SIGTERM is obeyed all the same: an external
    /// extension has Lambda send it.
    #[cfg(feature = "graceful-shutdown")]
    #[must_use]
    pub fn graceful_shutdown(mut self) -> Self {
        self.options.graceful_shutdown = Some(true);
        self
    }

    /// Sets telemetry up and handles messages until Lambda ends the process: one batch at a time,
    /// or on Lambda Managed Instances `AWS_LAMBDA_MAX_CONCURRENCY` side by side. (Those have
    /// several processors: use tokio's multi-thread runtime there.)
    ///
    /// # Errors
    ///
    /// A `BATON_*` variable that cannot be used, a process that was not started by Lambda, or a
    /// Runtime API that cannot be reached. A handler's errors and panics are failed messages and
    /// never end the loop.
    pub async fn run<H, Args>(self, handler: H) -> Result<(), Error>
    where
        H: Handler<S, Args>,
        S: Send + Sync + 'static,
        Args: 'static,
    {
        check_runtime_variables()?;
        let (processor, flusher, max_concurrency) = self.set_up(handler).await?;
        let invocation_handler = Arc::new(InvocationHandler::new(processor, Arc::clone(&flusher)));
        let layer = invocation_handler.flush_layer();
        let service = tower::service_fn(
            move |LambdaEvent {
                      payload: (),
                      context,
                  }| {
                let invocation_handler = Arc::clone(&invocation_handler);
                // On the heap, because the runtime's services move about what they are given, one
                // after the other.
                Box::pin(async move {
                    let event = LambdaEvent::new(payload::take(), context);
                    invocation_handler.handle(event).await
                })
            },
        );
        let ended = ended(&flusher).await;
        let runtime = Runtime::new(service).layer(PayloadLayer).layer(layer);
        tokio::select! {
            outcome = event_loop::run(runtime, max_concurrency) => outcome.map_err(Error::Runtime),
            () = ended => Ok(()),
        }
    }

    /// Sets telemetry up and gives the consumer as a tower service, for those who assemble the
    /// Lambda runtime themselves.
    ///
    /// A graceful shutdown is part of [`run`](Self::run) and not of this.
    ///
    /// # Errors
    ///
    /// A `BATON_*` variable that cannot be used.
    pub async fn service<H, Args>(self, handler: H) -> Result<ConsumerService<H, S, Args>, Error>
    where
        H: Handler<S, Args>,
    {
        let (processor, flusher, _) = self.set_up(handler).await?;
        Ok(ConsumerService::new(InvocationHandler::new(
            processor, flusher,
        )))
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
            (given, _) => given,
        };
        log_start(&config, dead_letters.as_ref());
        for name in environment.unknown {
            warn!(
                name,
                "the variable means nothing: baton-lambda has none of this name"
            );
        }
        let mut processor = build_processor(handler, self.state, &config, &telemetry, dead_letters);
        processor.panic_hook = PanicHook::install(&config, &telemetry);
        let flusher = Flusher {
            telemetry,
            config,
            shutdown: Shutdown::default(),
            is_concurrent: environment.max_concurrency.get() > 1,
        };
        Ok((processor, Arc::new(flusher), environment.max_concurrency))
    }
}

fn build_processor<H, S, Args>(
    handler: H,
    state: S,
    config: &Config,
    telemetry: &Telemetry,
    dead_letters: Option<DeadLetterQueue>,
) -> BatchProcessor<H, S, Args> {
    let meter = telemetry.meter(SCOPE, env!("CARGO_PKG_VERSION"));
    BatchProcessor {
        handler,
        state,
        spans: InvocationSpans {
            tracer: telemetry.tracer(SCOPE, env!("CARGO_PKG_VERSION")),
            shape: config.trace_shape,
            max_receive_count: config.max_receive_count,
        },
        extractor: ContextExtractor::new(telemetry.propagator(), {
            let telemetry = telemetry.clone();
            move |trace_id| telemetry.samples_root(trace_id)
        }),
        metrics: Metrics::new(&meter),
        link_only_logged: Once::new(),
        dead_letters: dead_letters.map(|queue| queue.with_meter(&meter)),
        panic_hook: PanicHook::default(),
        config: config.clone(),
        arguments: PhantomData,
    }
}

/// The function's own version is `faas.version`; this library's would be mistaken for it.
const SERVICE: Service = Service {
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

/// The effective configuration in one line.
fn log_start(config: &Config, dead_letters: Option<&DeadLetterQueue>) {
    info!(
        concurrency = config.concurrency,
        envelope = ?config.envelope,
        trace_shape = ?config.trace_shape,
        flush_point = ?config.flush_point,
        flush_timeout = ?config.flush_timeout,
        drain_before_deadline = config.drain_before_deadline.map(field::debug),
        cancel_before_deadline = config.cancel_before_deadline.map(field::debug),
        partial_response = ?config.partial_response,
        all_failed = ?config.all_failed,
        max_receive_count = config.max_receive_count,
        dead_letter_queue = dead_letters.map(DeadLetterQueue::name),
        graceful_shutdown = config.graceful_shutdown,
        "consumer started"
    );
}

/// Why a consumer did not start, or stopped.
#[derive(thiserror::Error)]
pub enum Error {
    /// One of the variables that Lambda sets is missing or empty.
    #[error(
        "{0} is not set: this program is a Lambda function, to be started by Lambda or by `baton up`"
    )]
    NotOnLambda(&'static str),
    /// Variables that cannot be used, all of them.
    #[error("{}", join_errors(.0))]
    Config(Vec<InvalidConfig>),
    /// The dead-letter queue cannot be used.
    #[error("{DEAD_LETTER_QUEUE}: {0}")]
    DeadLetterQueue(Box<dyn std::error::Error + Send + Sync>),
    /// The Runtime API failed.
    #[error("the Lambda Runtime API failed: {0}")]
    Runtime(lambda_runtime::Error),
}

impl From<RuntimeVariableError> for Error {
    fn from(error: RuntimeVariableError) -> Self {
        match error {
            RuntimeVariableError::Missing(name) => Self::NotOnLambda(name),
            RuntimeVariableError::Invalid(invalid) => Self::Config(vec![invalid]),
        }
    }
}

/// As in `Display`: this is what a `main` that returns the error prints.
impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

fn join_errors(invalid: &[InvalidConfig]) -> String {
    let lines: Vec<String> = invalid.iter().map(ToString::to_string).collect();
    lines.join("; ")
}
