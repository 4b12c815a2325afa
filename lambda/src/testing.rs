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
//! run in a process installs a tracer provider, a meter provider, and the propagator of W3C context
//! and baggage as OpenTelemetry's globals. The process must not install others afterwards. If an
//! expected span is missing, the handler may use [another version of
//! `opentelemetry`](crate#versions). The first run also installs a `tracing` subscriber that
//! captures the log lines, unless the process has one already, and with the feature `tracing` the
//! spans of `#[instrument]` and of the span macros.
//!
//! # The consumer as it is deployed
//!
//! Options, layers, classifiers and log fields are part of what a test should check. Let `main` and
//! the tests use the same function:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use baton_lambda::testing::Batch;
//! use baton_lambda::{Class, Consumer, ConsumerBuilder, Failure, HandlerLayers, Message};
//! use tower::timeout::TimeoutLayer;
//! use tower::timeout::error::Elapsed;
//!
//! struct Store;
//!
//! fn consumer(store: Arc<Store>) -> ConsumerBuilder<Arc<Store>, impl HandlerLayers<u32>> {
//!     Consumer::builder()
//!         .state(store)
//!         .layer(TimeoutLayer::new(Duration::from_secs(5)))
//!         .classify(|_: &Elapsed| Class::retry("timeout"))
//! }
//!
//! async fn handle(message: Message<u32>, _: Arc<Store>) -> Result<(), Failure> {
//!     tokio::time::sleep(Duration::from_secs(message.body.into())).await;
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let batch = Batch::standard("orders").message(1).message(10);
//! let outcome = batch.run_with(consumer(Arc::new(Store)), handle).await;
//! assert_eq!(outcome.failure("message-2").unwrap().error_type, "timeout");
//! # }
//! ```
//!
//! # Time
//!
//! With `#[tokio::test(start_paused = true)]`, a test near the deadline takes no time: the clock
//! jumps to the next timer when all tasks wait.
//!
//! ```
//! use std::time::Duration;
//!
//! use baton_lambda::testing::Batch;
//! use baton_lambda::{Failure, Message};
//!
//! async fn handle(message: Message<u64>) -> Result<(), Failure> {
//!     tokio::time::sleep(Duration::from_secs(message.body)).await;
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! // The function has 30 seconds, and handlers are cancelled 1.1 seconds before the end.
//! let batch = Batch::standard("orders").message(5).message(60);
//! let outcome = batch.timeout(Duration::from_secs(30)).run(handle).await;
//! assert_eq!(outcome.failed(), ["message-2"]);
//! assert_eq!(outcome.failure("message-2").unwrap().error_type, "deadline_exceeded");
//! # }
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lambda_events::event::sqs::SqsBatchResponse;
use baton_telemetry::Telemetry;
use futures_util::future::BoxFuture;
use lambda_runtime::{Context as LambdaContext, LambdaEvent};
use serde::Serialize;
use serde_json::json;

use self::capture::TestRun;
#[cfg(feature = "dead-letter-queue")]
use self::dead_letters::CapturedDeadLetters;
use self::record::RecordPosition;
use crate::batch::{
    BatchProcessor, BoxedRecordHandler, FailureObserver, FailurePolicy, RecordFailure,
};
use crate::config::ConsumerConfig;
use crate::consumer::{Consumer, ConsumerBuilder, Settings};
#[cfg(feature = "dead-letter-queue")]
use crate::dead_letter::InvalidDeadLetterQueue;
use crate::flush::Flusher;
use crate::handler::{BatchHandler, Handler, HandlerLayers, MessageBody, NoLayers};
use crate::invocation::InvocationHandler;

mod capture;
#[cfg(feature = "dead-letter-queue")]
mod dead_letters;
mod measurements;
mod outcome;
mod record;
mod span;

pub use capture::capture_layer;
#[cfg(feature = "dead-letter-queue")]
pub use dead_letters::DeadLetter;
pub use measurements::Measurement;
pub use opentelemetry::trace::SpanKind;
pub use outcome::{MessageFailure, Outcome};
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
    #[cfg(feature = "dead-letter-queue")]
    dead_letter_queue: Option<String>,
}

impl Batch {
    /// Creates an empty batch from the standard queue `queue`.
    #[must_use]
    pub fn standard(queue: &str) -> Self {
        Self {
            queue: format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"),
            records: Vec::new(),
            timeout: TIMEOUT,
            #[cfg(feature = "dead-letter-queue")]
            dead_letter_queue: None,
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

    /// Sends permanent failures to a dead-letter queue with this name instead of the consumer's.
    /// Nothing leaves the process: [`Outcome::dead_letters`] returns the messages. Requires the
    /// feature `dead-letter-queue`.
    #[cfg(feature = "dead-letter-queue")]
    #[must_use]
    pub fn dead_letter_queue(mut self, name: &str) -> Self {
        self.dead_letter_queue = Some(name.to_owned());
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
    /// read. The test replaces the consumer's [telemetry](ConsumerBuilder::telemetry).
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
        Box::pin(self.run_boxed(handler, settings))
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
    pub fn run_batch_with<H, S, L, Args>(
        self,
        consumer: ConsumerBuilder<S, L>,
        handler: H,
    ) -> BoxFuture<'static, Outcome>
    where
        H: BatchHandler<S, Args>,
        S: Send + Sync + 'static,
        L: NoLayers,
    {
        let (handler, settings) = consumer.into_batch_parts(handler);
        Box::pin(self.run_boxed(handler, settings))
    }

    async fn run_boxed(self, handler: BoxedRecordHandler, settings: Settings) -> Outcome {
        let run = TestRun::start();
        let telemetry = Telemetry::captured_with_meters(run.provider().clone(), run.meters());
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
        handler: BoxedRecordHandler,
        settings: Settings,
    ) -> Outcome {
        let records = self.records.iter().zip(1..);
        let ids: Vec<String> = records
            .map(|((_, record), number)| record.message_id(number))
            .collect();
        let failures = Arc::new(Mutex::new(Vec::new()));
        #[cfg(feature = "dead-letter-queue")]
        let dead_letters = CapturedDeadLetters::default();
        #[cfg(feature = "dead-letter-queue")]
        let settings = match self.capture_dead_letters(settings, &dead_letters) {
            Ok(settings) => settings,
            Err(error) => return Outcome::new(&ids, Err(error.to_string()), run.take()),
        };
        let observed = Arc::clone(&failures);
        let observer = move |index, failure: &RecordFailure| {
            lock(&observed).push((index, failure.clone()));
        };
        let response = self
            .invoke(handler, settings, telemetry, Box::new(observer))
            .await;
        let failures = std::mem::take(&mut *lock(&failures));
        let outcome = Outcome::new(&ids, response, run.take()).with_failures(&ids, failures);
        #[cfg(feature = "dead-letter-queue")]
        let outcome = outcome.with_dead_letters(dead_letters.take());
        outcome
    }

    /// Handles the event with defaults in place of the environment.
    async fn invoke(
        &self,
        handler: BoxedRecordHandler,
        settings: Settings,
        telemetry: Telemetry,
        observer: Box<FailureObserver>,
    ) -> Result<SqsBatchResponse, String> {
        let event = self.event().map_err(|error| error.to_string())?;
        let payload = serde_json::to_vec(&event);
        let payload = payload.map_err(|error| error.to_string())?;
        let event = LambdaEvent::new(payload, self.lambda_context());
        let config = settings.options.apply_to(ConsumerConfig::default());
        let failure_policy = FailurePolicy {
            classifiers: settings.classifiers,
            dead_letters: settings.dead_letters,
            observer: Some(observer),
        };
        let processor = BatchProcessor::new(handler, config.clone(), &telemetry, failure_policy)
            .with_log_fields(settings.log_fields);
        let flusher = Flusher::new(telemetry, config, processor.metrics.flush.clone());
        let invocation_handler = Arc::new(InvocationHandler::new(processor, Arc::new(flusher)));
        let response = invocation_handler.handle(event).await;
        response.map_err(|error| error.to_string())
    }

    /// Replaces the consumer's dead-letter queue if the batch has one.
    #[cfg(feature = "dead-letter-queue")]
    fn capture_dead_letters(
        &self,
        mut settings: Settings,
        captured: &CapturedDeadLetters,
    ) -> Result<Settings, InvalidDeadLetterQueue> {
        if let Some(name) = &self.dead_letter_queue {
            settings.dead_letters = Some(captured.queue(name)?);
        }
        Ok(settings)
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
