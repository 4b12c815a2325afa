//! The consumer: options, and the loop between Lambda and the handler.

use crate::config::{self, Config, InvalidConfig, PartialResponse};
use crate::event::{Batch, InvalidEvent};
use crate::handler::Handler;
use crate::invocation::Processor;
use aws_lambda_events::event::sqs::SqsBatchResponse;
use baton_telemetry::{Propagator, Service, Telemetry};
use lambda_runtime::{Context as LambdaContext, Diagnostic, LambdaEvent, Runtime};
use opentelemetry_sdk::trace::SdkTracer;
use serde_json::value::RawValue;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;
use tracing::info;

/// Instrumentation scope of the spans made here.
const SCOPE: &str = "baton.lambda";
/// `service.name` outside Lambda, where the function has no name (resource conventions).
const UNKNOWN_SERVICE: &str = "unknown_service";
/// Left between the end of a flush and the invocation's deadline, for the response to be sent.
const RESPONSE_MARGIN: Duration = Duration::from_millis(100);

/// Runs `handler` for every message until Lambda ends the process: [`Consumer::builder`] with all options left to the environment.
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
            concurrency: None,
            flush_timeout: None,
            partial_response: None,
        }
    }
}

/// Options of a consumer. What is set here wins over the environment, which wins over the default.
#[derive(Debug, Clone)]
pub struct Builder<S> {
    state: S,
    concurrency: Option<NonZeroUsize>,
    flush_timeout: Option<Duration>,
    partial_response: Option<PartialResponse>,
}

impl<S> Builder<S> {
    /// What handlers with a second argument get a clone of; usually an `Arc`.
    pub fn state<T>(self, state: T) -> Builder<T>
    where
        T: Clone + Send + Sync + 'static,
    {
        Builder {
            state,
            concurrency: self.concurrency,
            flush_timeout: self.flush_timeout,
            partial_response: self.partial_response,
        }
    }

    /// How many messages are handled side by side; on a FIFO queue, how many message groups. `BATON_CONCURRENCY`, else 10.
    #[must_use]
    pub fn concurrency(mut self, concurrency: NonZeroUsize) -> Self {
        self.concurrency = Some(concurrency);
        self
    }

    /// How long a flush may take at most; it ends before the invocation's deadline in any case. `BATON_FLUSH_TIMEOUT` in milliseconds,
    /// else one second.
    #[must_use]
    pub fn flush_timeout(mut self, timeout: Duration) -> Self {
        self.flush_timeout = Some(timeout);
        self
    }

    /// What the event source mapping understands. `BATON_PARTIAL_RESPONSE`, else [`PartialResponse::On`]: **the mapping must have
    /// `ReportBatchItemFailures`, or AWS deletes the failed messages.**
    #[must_use]
    pub fn partial_response(mut self, partial_response: PartialResponse) -> Self {
        self.partial_response = Some(partial_response);
        self
    }

    /// Sets telemetry up and handles messages until Lambda ends the process.
    ///
    /// # Errors
    ///
    /// A `BATON_*` variable that cannot be used, a process that was not started by Lambda, or a Runtime API that cannot be reached. A
    /// handler's errors and panics are failed messages and never end the loop.
    pub async fn run<H, Args>(self, handler: H) -> Result<(), Error>
    where
        H: Handler<S, Args>,
        S: Send + Sync + 'static,
        Args: 'static,
    {
        if let Some(name) = config::missing_runtime_variable() {
            return Err(Error::NotOnLambda(name));
        }
        let environment = Config::from_env().map_err(Error::Config)?;
        let telemetry = Telemetry::init(Service {
            name: UNKNOWN_SERVICE,
            // The function's own version is `faas.version`; this library's would be mistaken for it.
            version: None,
        })
        .await;
        let config = self.config(environment);
        info!(
            concurrency = config.concurrency,
            flush_timeout = ?config.flush_timeout,
            partial_response = ?config.partial_response,
            "consumer started"
        );
        let invoker = Invoker {
            processor: Processor {
                handler,
                state: self.state,
                config,
                tracer: telemetry.tracer(SCOPE, env!("CARGO_PKG_VERSION")),
                propagator: telemetry.propagator(),
                arguments: PhantomData,
            },
            telemetry,
            is_cold: AtomicBool::new(true),
        };
        let service = tower::service_fn(|event| invoker.invoke(event));
        Runtime::new(service).run().await.map_err(Error::Runtime)
    }

    /// What is set here, else in the environment.
    fn config(&self, environment: Config) -> Config {
        Config {
            concurrency: self.concurrency.unwrap_or(environment.concurrency),
            flush_timeout: self.flush_timeout.unwrap_or(environment.flush_timeout),
            partial_response: self
                .partial_response
                .unwrap_or(environment.partial_response),
        }
    }

    /// One invocation with neither Lambda nor environment nor export, for [`testing`](crate::testing). Its error is the invocation's text.
    pub(crate) async fn invoke_once<H, Args>(
        self,
        handler: H,
        tracer: SdkTracer,
        event: LambdaEvent<Box<RawValue>>,
    ) -> Result<SqsBatchResponse, String>
    where
        H: Handler<S, Args>,
    {
        let config = self.config(Config::of_no_environment().map_err(|invalid| list(&invalid))?);
        let processor = Processor {
            handler,
            state: self.state,
            config,
            tracer,
            propagator: Propagator::default(),
            arguments: PhantomData,
        };
        let LambdaEvent { payload, context } = event;
        let batch = Batch::parse(payload).map_err(|error| error.to_string())?;
        let (batch, failed) = processor.process(batch, &context, true).await;
        respond(&batch, &failed, config.partial_response).map_err(|error| error.to_string())
    }
}

/// What all invocations of the process share.
struct Invoker<H, S, Args> {
    processor: Processor<H, S, Args>,
    telemetry: Telemetry,
    is_cold: AtomicBool,
}

impl<H: Handler<S, Args>, S, Args> Invoker<H, S, Args> {
    async fn invoke(
        &self,
        event: LambdaEvent<Box<RawValue>>,
    ) -> Result<SqsBatchResponse, InvocationError> {
        let LambdaEvent { payload, context } = event;
        let is_cold_start = self.is_cold.swap(false, Ordering::Relaxed);
        let batch = Batch::parse(payload)?;
        let config = self.processor.config;
        let (batch, failed) = self.processor.process(batch, &context, is_cold_start).await;
        let deadline = flush_deadline(&context, config.flush_timeout);
        self.telemetry.flush(deadline).await;
        respond(&batch, &failed, config.partial_response)
    }
}

/// The sooner of the budget's end and the invocation's, with time for the response.
fn flush_deadline(lambda: &LambdaContext, budget: Duration) -> Instant {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let left = Duration::from_millis(lambda.deadline)
        .saturating_sub(now.unwrap_or_default())
        .saturating_sub(RESPONSE_MARGIN);
    Instant::now() + budget.min(left)
}

fn respond(
    batch: &Batch,
    failed: &[usize],
    partial_response: PartialResponse,
) -> Result<SqsBatchResponse, InvocationError> {
    let mut response = SqsBatchResponse::default();
    if partial_response == PartialResponse::Off && !failed.is_empty() {
        return Err(InvocationError::Failed {
            failed: failed.len(),
            of: batch.len(),
        });
    }
    for index in failed {
        // Without its identifier a failed message cannot be kept from being deleted, except by failing with all the others.
        let record = batch.record(*index);
        let id = record.message_id();
        let id = id.ok_or(InvocationError::Unidentified { index: *index })?;
        response.add_failure(id);
    }
    Ok(response)
}

/// Why a whole batch is delivered again.
#[derive(Debug, thiserror::Error)]
enum InvocationError {
    #[error(transparent)]
    Event(#[from] InvalidEvent),
    #[error("Records[{index}] failed and has no messageId to report it by")]
    Unidentified { index: usize },
    #[error("{failed} of {of} messages failed, and partial responses are off")]
    Failed { failed: usize, of: usize },
}

impl From<InvocationError> for Diagnostic {
    fn from(error: InvocationError) -> Self {
        let error_type = match &error {
            InvocationError::Event(_) => "InvalidEvent",
            InvocationError::Unidentified { .. } => "UnidentifiedFailure",
            InvocationError::Failed { .. } => "BatchFailed",
        };
        Self {
            error_type: error_type.to_owned(),
            error_message: error.to_string(),
        }
    }
}

/// Why a consumer did not start, or stopped.
#[derive(thiserror::Error)]
pub enum Error {
    /// One of the variables that Lambda sets is missing.
    #[error(
        "{0} is not set: this program is a Lambda function, to be started by Lambda or by `baton up`"
    )]
    NotOnLambda(&'static str),
    /// Variables that cannot be used, all of them.
    #[error("{}", list(.0))]
    Config(Vec<InvalidConfig>),
    /// The Runtime API failed.
    #[error("the Lambda Runtime API failed: {0}")]
    Runtime(lambda_runtime::Error),
}

/// As in `Display`: this is what a `main` that returns the error prints.
impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

fn list(invalid: &[InvalidConfig]) -> String {
    let lines: Vec<String> = invalid.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

#[cfg(test)]
mod tests;
