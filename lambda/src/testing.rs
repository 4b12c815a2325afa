//! Unit tests for handlers: run a batch through a handler, and check the response and the spans.
//!
//! ```
//! use baton_lambda::{Failure, Message, testing};
//! use serde_json::{Value, json};
//!
//! async fn handle(message: Message<Value>) -> Result<(), Failure> {
//!     match message.body["id"].as_str() {
//!         Some(_) => Ok(()),
//!         None => Err(Failure::permanent("missing_id", "the order has no id")),
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let batch = testing::Batch::standard("orders").message(json!({"id": "1"})).message(json!({}));
//! let outcome = batch.run(handle).await;
//! assert_eq!(outcome.failed(), ["message-2"]);
//! assert_eq!(outcome.spans()[0].name, "process orders");
//! assert_eq!(outcome.spans()[1].attributes["error.type"], "missing_id");
//! # }
//! ```
//!
//! A test runs the same code as Lambda does, from the payload to the response. It needs neither a
//! network nor Lambda's variables, does not read the environment, and works under `#[tokio::test]`,
//! including with `start_paused`. Tests can run concurrently in one process.
//!
//! Spans that the handler creates with `opentelemetry::global::tracer` are captured if they are
//! descendants of a record span and have ended when the batch is done. For that purpose, the first
//! run in a process installs a tracer provider and the propagator of W3C context and baggage as
//! OpenTelemetry's globals. The process must not install others afterwards. If an expected span is
//! missing, the handler may use [another version of `opentelemetry`](crate#versions). With the
//! feature `tracing`, spans of `#[instrument]` and of the span macros are captured too, unless the
//! process has installed its own `tracing` subscriber without `tracing_layer`.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lambda_events::event::sqs::SqsBatchResponse;
use baton_telemetry::Telemetry;
use futures_util::future::BoxFuture;
use lambda_runtime::{Context as LambdaContext, LambdaEvent};
use serde::Serialize;
use serde_json::json;

use self::capture::TestRun;
use self::record::RecordPosition;
use crate::batch::{BatchProcessor, FailurePolicy};
use crate::config::ConsumerConfig;
use crate::consumer::{Consumer, ConsumerBuilder, Settings};
use crate::flush::Flusher;
use crate::handler::{BatchHandler, ErasedHandler, Handler, HandlerLayers, MessageBody};
use crate::invocation::InvocationHandler;
use crate::shutdown::Shutdown;

mod capture;
mod outcome;
mod record;
mod span;

pub use opentelemetry::trace::SpanKind;
pub use outcome::Outcome;
pub use record::{InvalidRecord, Record};
pub use span::{FinishedSpan, SpanEvent, SpanLink};

/// Region of the queues in events.
const REGION: &str = "eu-central-1";
const ACCOUNT: &str = "000000000000";
const FUNCTION_ARN: &str = "arn:aws:lambda:eu-central-1:000000000000:function:tested";
/// Longest timeout that Lambda allows, so that the deadline does not affect tests that do not set
/// one.
const TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// A batch of messages, as an event source mapping sends it to the function.
///
/// ```
/// use baton_lambda::testing::{Batch, Record};
/// use baton_lambda::{Failure, Message};
/// use serde_json::json;
///
/// async fn handle(message: Message<u32>) -> Result<(), Failure> {
///     match message.body {
///         0 => Err(Failure::permanent("empty_order", "nothing was ordered")),
///         _ => Ok(()),
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let batch = Batch::fifo("orders")
///     .record(Record::json(0).group("ada"))
///     .record(Record::json(2).group("bob"))
///     .record(Record::json(3).group("ada"));
/// // After a failure, the rest of the message group is returned too.
/// assert_eq!(batch.run(handle).await.failed(), ["message-1", "message-3"]);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Batch {
    queue: String,
    records: Vec<(String, Record)>,
    timeout: Duration,
}

impl Batch {
    /// Creates an empty batch from the standard queue `queue`.
    #[must_use]
    pub fn standard(queue: &str) -> Self {
        Self {
            queue: format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"),
            records: Vec::new(),
            timeout: TIMEOUT,
        }
    }

    /// Creates an empty batch from the FIFO queue `queue`. Adds the suffix `.fifo` if it is
    /// missing.
    #[must_use]
    pub fn fifo(queue: &str) -> Self {
        let name = queue.strip_suffix(".fifo").unwrap_or(queue);
        Self::standard(&format!("{name}.fifo"))
    }

    /// Adds a message with the JSON of `body` as its body.
    #[must_use]
    pub fn message(self, body: impl Serialize) -> Self {
        self.record(Record::json(body))
    }

    /// Adds a message with the text `body` as its body.
    #[must_use]
    pub fn raw_message(self, body: impl Into<String>) -> Self {
        self.record(Record::raw(body))
    }

    /// Adds a message with custom metadata.
    #[must_use]
    pub fn record(mut self, record: Record) -> Self {
        self.records.push((self.queue.clone(), record));
        self
    }

    /// Adds the messages of another batch, for functions that read several queues.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.records.extend(other.records);
        self
    }

    /// Sets the timeout of the function. Default: fifteen minutes, the maximum. If tokio's clock is
    /// paused, a handler that sleeps longer is cancelled without waiting, as on Lambda shortly
    /// before the deadline.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Returns the event as JSON, for `cargo lambda invoke --data-file` or a fixture. Equal batches
    /// produce equal events.
    ///
    /// # Errors
    ///
    /// Returns an error if a body cannot be serialized as JSON.
    pub fn event(&self) -> Result<serde_json::Value, InvalidRecord> {
        let records = self.records.iter().zip(1..);
        let records: Vec<serde_json::Value> = records
            .map(|((queue_arn, record), number)| {
                record.to_json(&RecordPosition {
                    region: REGION,
                    queue_arn,
                    number,
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(json!({ "Records": records }))
    }

    /// Runs the batch through `handler` with the default options.
    pub fn run<H, Args>(self, handler: H) -> BoxFuture<'static, Outcome>
    where
        H: Handler<(), Args>,
    {
        self.run_with(Consumer::builder(), handler)
    }

    /// Runs the batch through `handler` with the options, the state, the layers and the classifiers
    /// of `consumer`. Options that are not set have their defaults, because the environment is not
    /// read.
    pub fn run_with<H, T, S, L, Args>(
        self,
        consumer: ConsumerBuilder<S, L>,
        handler: H,
    ) -> BoxFuture<'static, Outcome>
    where
        H: Handler<S, Args, Body = T>,
        S: Send + Sync + 'static,
        T: MessageBody,
        L: HandlerLayers<T>,
    {
        let (handler, settings) = consumer.into_parts(handler);
        Box::pin(self.run_erased(handler, settings))
    }

    /// Runs the batch through a handler of whole batches with the default options.
    pub fn run_batch<H, Args>(self, handler: H) -> BoxFuture<'static, Outcome>
    where
        H: BatchHandler<(), Args>,
    {
        self.run_batch_with(Consumer::builder(), handler)
    }

    /// Runs the batch through a handler of whole batches with the options, the state and the
    /// classifiers of `consumer`. Options that are not set have their defaults.
    pub fn run_batch_with<H, S, Args>(
        self,
        consumer: ConsumerBuilder<S>,
        handler: H,
    ) -> BoxFuture<'static, Outcome>
    where
        H: BatchHandler<S, Args>,
        S: Send + Sync + 'static,
    {
        let (handler, settings) = consumer.into_batch_parts(handler);
        Box::pin(self.run_erased(handler, settings))
    }

    async fn run_erased(self, handler: ErasedHandler, settings: Settings) -> Outcome {
        let run = TestRun::start();
        let telemetry = Telemetry::captured(run.provider().clone());
        self.run_captured(run, telemetry, handler, settings).await
    }

    /// Runs the batch like [`run_with`](Self::run_with) and records metrics with `meters`.
    #[cfg(test)]
    pub(crate) async fn run_with_meters<H, T, S, L, Args>(
        self,
        consumer: ConsumerBuilder<S, L>,
        handler: H,
        meters: opentelemetry_sdk::metrics::SdkMeterProvider,
    ) -> Outcome
    where
        H: Handler<S, Args, Body = T>,
        S: Send + Sync + 'static,
        T: MessageBody,
        L: HandlerLayers<T>,
    {
        let (handler, settings) = consumer.into_parts(handler);
        let run = TestRun::start();
        let telemetry = Telemetry::captured_with_meters(run.provider().clone(), meters);
        self.run_captured(run, telemetry, handler, settings).await
    }

    async fn run_captured(
        self,
        run: TestRun,
        telemetry: Telemetry,
        handler: ErasedHandler,
        settings: Settings,
    ) -> Outcome {
        let response = self.invoke(handler, settings, telemetry).await;
        let records = self.records.iter().zip(1..);
        let ids: Vec<String> = records
            .map(|((_, record), number)| record.message_id(number))
            .collect();
        Outcome::new(&ids, response, run.take())
    }

    /// Handles the event with defaults in place of the environment.
    async fn invoke(
        &self,
        handler: ErasedHandler,
        settings: Settings,
        telemetry: Telemetry,
    ) -> Result<SqsBatchResponse, String> {
        let event = self.event().map_err(|error| error.to_string())?;
        let payload = serde_json::to_vec(&event);
        let payload = payload.map_err(|error| error.to_string())?;
        let event = LambdaEvent::new(payload, self.lambda_context());
        let config = settings.options.apply_to(ConsumerConfig::default());
        let failure_policy = FailurePolicy {
            classifiers: settings.classifiers,
            dead_letters: settings.dead_letters,
        };
        let processor = BatchProcessor::new(handler, config.clone(), &telemetry, failure_policy)
            .with_log_fields(settings.log_fields);
        let flusher = Flusher {
            telemetry,
            config,
            shutdown: Shutdown::default(),
            is_concurrent: false,
        };
        let invocation_handler = Arc::new(InvocationHandler::new(processor, Arc::new(flusher)));
        let response = invocation_handler.handle(event).await;
        response.map_err(|error| error.to_string())
    }

    fn lambda_context(&self) -> LambdaContext {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let deadline = now.unwrap_or_default().saturating_add(self.timeout);
        let mut context = LambdaContext::default();
        context.request_id = "invocation-1".to_owned();
        context.invoked_function_arn = FUNCTION_ARN.to_owned();
        context.deadline = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        context
    }
}

#[cfg(test)]
mod tests;
