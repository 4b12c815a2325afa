//! The SQS-consumer runtime for Rust Lambda functions: one handler per message, partial batch
//! responses, and the trace kept whole.
//!
//! ```no_run
//! use baton_lambda::{Failure, Message};
//!
//! #[derive(serde::Deserialize)]
//! struct Order {
//!     id: String,
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), baton_lambda::Error> {
//!     baton_lambda::run(handle).await
//! }
//!
//! async fn handle(message: Message<Order>) -> Result<(), Failure> {
//!     if message.body.id.is_empty() {
//!         return Err(Failure::permanent("missing_id", "the order has no id"));
//!     }
//!     Ok(())
//! }
//! ```
//!
//! The handler sees one message; the runtime owns the batch:
//!
//! - Each message's span continues the trace of its producer, and the handler runs inside it, with
//!   the producer's baggage. The batch has a span of its own that links to all of them.
//! - A body that does not decode, an error, a panic fails that message alone. Failed messages are
//!   named in the response and delivered again, the others are deleted. **This needs
//!   `ReportBatchItemFailures` on the event source mapping: without it AWS ignores the response and
//!   deletes the failed messages too.** Where it cannot be had, set `BATON_PARTIAL_RESPONSE=off`.
//! - EventBridge Pipes, with a queue as source and the function as target, sends the same records
//!   and reads the same response without that setting.
//! - On a FIFO queue the order inside each message group is kept: after a failure the rest of the
//!   group is returned untried.
//! - Before the deadline the batch comes to its end: no further message is started, handlers that
//!   still run are cancelled, and what did not finish is returned. What finished stays done.
//! - Everything is flushed before the response (or after it), within a budget: nothing is lost when
//!   Lambda freezes or ends the process.
//! - An event that is not from SQS fails the invocation with an error that names the field. No
//!   message is deleted unseen.
//!
//! Handlers run side by side on one thread. CPU-bound work belongs in
//! `tokio::task::spawn_blocking`: a handler that blocks the thread holds up the others, and nothing
//! can interrupt it. One that is cancelled ends at the `await` it is at; what it has handed to
//! `spawn_blocking` or `tokio::spawn` goes on without it, although the message is returned as
//! failed. Such tasks are outside the message's span unless its context goes with them:
//! `.with_context(Context::current())` of [`FutureExt`](opentelemetry::context::FutureExt), or on a
//! blocking thread [`Context::attach`](opentelemetry::Context::attach). If the handler has a span
//! of `#[instrument]` or of the span macros, `.in_current_span()` of `tracing` is enough to keep
//! the ids on the task's log lines, for as long as the task runs.
//!
//! The same code runs on Lambda Managed Instances, which send several invocations at a time: on
//! tokio's multi-thread runtime, each invocation flushes its own spans.
//!
//! Handlers are tested with [`testing`], which needs neither Lambda nor a network.
//!
//! # Failures
//!
//! | The handler | What happens to the message |
//! |---|---|
//! | returns `Ok` | it is deleted |
//! | returns an error, or [`Failure::retry`] | it is delivered again, until the queue's redrive policy moves it |
//! | returns [`Failure::permanent`] | the same; or, where a dead-letter queue is given, it is sent there at once with the reason, and deleted (with `BATON_PARTIAL_RESPONSE=off`: at the batch's end, if nothing else has failed) |
//! | panics, or takes a body that the message has not | the first is an error, the second a permanent failure |
//! | is not done in time | it is delivered again |
//!
//! # Environment
//!
//! What the [builder](Consumer::builder) sets wins over the environment. A variable that cannot be
//! used keeps the function from starting, with an error that names it; so does a process that was
//! not started by Lambda.
//!
//! | Variable | Meaning | Default |
//! |---|---|---|
//! | `BATON_CONCURRENCY` | messages, or FIFO groups, handled side by side; `1` is one after the other | `10` |
//! | `BATON_ENVELOPE` | what bodies are wrapped in: `none`, `sns` or `eventbridge` | `none` |
//! | `BATON_TRACE_SHAPE` | `continue`: a message's span is its producer's child; `batch`: it is the batch span's, and linked to the producer | `continue` |
//! | `BATON_FLUSH_POINT` | `before-response`, or `after-response` and before the next invocation | `before-response` |
//! | `BATON_FLUSH_TIMEOUT` | milliseconds that a flush may take | `1000` |
//! | `BATON_DRAIN_BEFORE_DEADLINE` | milliseconds before the deadline from which no further message is started | `1500`, or a tenth of the time if that is more |
//! | `BATON_CANCEL_BEFORE_DEADLINE` | milliseconds before the deadline at which handlers that still run are cancelled | the flush's time and `100` |
//! | `BATON_PARTIAL_RESPONSE` | `on`; `off` fails the whole invocation for one failed message | `on` |
//! | `BATON_ALL_FAILED` | a batch of which every message failed: `report` them, or `fail-invocation` | `report` |
//! | `BATON_MAX_RECEIVE_COUNT` | `maxReceiveCount` of the queue's redrive policy, for `baton.sqs.next_failure_dead_letters` | not known |
//! | `BATON_DEAD_LETTER_QUEUE_URL` | where permanent failures are sent; not the queue that they come from (feature `dead-letter-queue`) | nowhere |
//! | `BATON_GRACEFUL_SHUTDOWN` | `on` has Lambda announce the end of the process (feature `graceful-shutdown`) | `off` |
//! | `BATON_SPAN_BUFFER_BYTES` | bytes of finished spans that wait for the collector at most | 32 MiB |
//! | `BATON_LOG_BUFFER_BYTES` | bytes of log records that do, with `OTEL_LOGS_EXPORTER=otlp` | 8 MiB |
//! | `BATON_METRIC_BUFFER_BYTES` | bytes of metrics that do | 1 MiB |
//! | `BATON_SPILL` | where what the collector does not take goes: `stdout`, for `baton replay`, or `none` | `stdout` |
//! | `BATON_SPILL_LINE_BYTES` | bytes of the longest line written there, from 1024 to 262118 | `262118` |
//!
//! Neither mark before the deadline takes more than half of the time that an invocation has.
//! Telemetry is configured by the standard `OTEL_*` variables: see `baton_telemetry`.
//!
//! # Features
//!
//! All are off by default.
//!
//! | Feature | What it adds |
//! |---|---|
//! | `dead-letter-queue` | sending permanent failures to a dead-letter queue, with the AWS SDK for it |
//! | `graceful-shutdown` | an internal extension, so that Lambda sends SIGTERM before it ends the process: handlers have 120 ms then, a flush 100 ms, everything 270 ms |
//! | `grpc` | OTLP over gRPC, where the standard variables ask for it |
//! | `panic-abort` | allows this crate to compile with `panic = "abort"`, which is otherwise an error. Before a panic aborts the process, completed messages are reported as successful, finished spans are written to stdout, and the process restarts. Messages that were being handled are then handled last and one at a time, but only in the same execution environment. With `BATON_PARTIAL_RESPONSE=off`, the whole batch is redelivered instead |
//! | `secrets` | headers of the export, such as one with a key, from Secrets Manager or the SSM Parameter Store: `OTEL_EXPORTER_OTLP_HEADERS_SECRET` is the ARN (see `baton_secrets`); with the AWS SDK for it |
//! | `tracing` | turns spans of the `tracing` macros into OpenTelemetry spans under the message's span, with the status and exception event of `#[instrument(err)]` (see `tracing_layer`) |
//!
//! # Versions
//!
//! A handler's own spans and metrics use OpenTelemetry's globals, and each minor version of
//! `opentelemetry` has separate globals. **This crate uses `opentelemetry` 0.33.** With another
//! version the function compiles and its handlers run, but their spans and metrics are lost. This
//! crate re-exports the matching versions: [`opentelemetry`], and [`tracing`],
//! [`tracing_subscriber`], [`serde_json`], [`lambda_runtime`] and [`aws_lambda_events`]. (The
//! attribute `#[instrument]` needs `tracing` among the function's own dependencies; every `tracing`
//! 0.1 is the same.)
//!
//! A wrong version cannot be detected at run time: it drops its spans without a call into this
//! crate, and this crate cannot reach its globals. Two checks find it earlier: `cargo tree --invert
//! opentelemetry` fails when the build contains two versions, and a [test](testing) that looks up
//! the handler's span by [name](testing::Outcome::span) fails.
//!
//! # Where a message's context comes from
//!
//! Each of these is tried if its propagator is in `OTEL_PROPAGATORS` (`tracecontext,baggage` by
//! default); the first that has a valid context is the parent:
//!
//! 1. the message attributes `traceparent`, `tracestate` and `baggage`, whatever their case,
//! 2. the message attributes `otel.traceparent`, `otel.tracestate` and `otel.baggage`, as
//!    `opentelemetry-instrumentation-boto3sqs` before 0.34b0 sends them,
//! 3. the attributes of an SNS notification in the body,
//! 4. an EventBridge event in the body, or in that notification: its own fields, then those of
//!    `detail`,
//! 5. `AWSTraceHeader`, with `xray` in the list. Otherwise it becomes a link.
//!
//! What is malformed counts as absent, and the span says so. Without any, the message begins a
//! trace of its own.
//!
//! Several instrumentations send only `AWSTraceHeader` by default, and the function then starts a
//! new trace. The first time that a process receives such a header with `Sampled=1`, it logs a line
//! at level INFO with the settings on either side that connect the traces.
//! `docs/other-producers.md` in the repository lists what each producer sends.
//!
//! # Spans
//!
//! Names and attributes follow the semantic conventions v1.44 (messaging, SQS, FaaS). The status is
//! left unset on success. A test holds this table against what is emitted.
//!
//! | Span | Kind | Parent | Links |
//! |---|---|---|---|
//! | batch: `process_batch {queue}` | CONSUMER | none | each message's producer, or what `AWSTraceHeader` names where there is none |
//! | record: `process {queue}` | CONSUMER | the producer's span | the batch span; what `AWSTraceHeader` names |
//! | send: `send {dead-letter queue}` | PRODUCER; CLIENT where the message keeps a context of its own, or none is written | the record span | that context |
//!
//! | Attribute | On | Value |
//! |---|---|---|
//! | `messaging.system` | batch, record, send | `aws_sqs` |
//! | `messaging.operation.name` | batch, record, send | `process_batch`, `process`, `send` |
//! | `messaging.operation.type` | batch, record, send | `process`, `send` |
//! | `messaging.destination.name` | batch, record, send | the queue; not on a batch from several |
//! | `messaging.batch.message_count` | batch | |
//! | `messaging.message.id` | record, send, link | on the batch span's links: which message |
//! | `faas.trigger` | batch, record | `pubsub` |
//! | `faas.invocation_id` | batch | |
//! | `faas.coldstart` | batch | whether it is the first invocation of the process |
//! | `aws.lambda.invoked_arn` | batch | |
//! | `cloud.account.id` | batch | |
//! | `cloud.resource_id` | batch | the function's ARN with the version that runs |
//! | `baton.sqs.receive_count` | record | deliveries of the message, this one included |
//! | `baton.sqs.queue_latency` | record | seconds from its acceptance by SQS to the start of the span |
//! | `baton.sqs.message_group_id` | record | on FIFO queues |
//! | `baton.sqs.next_failure_dead_letters` | record | `true` when the redrive policy moves the message after one more failure |
//! | `baton.sqs.dead_letter_queue` | record | where the message was sent for good |
//! | `baton.context.invalid` | record | what of its context did not count, and why |
//! | `error.type` | batch, record, send | batch: `BatchFailed` or `UnidentifiedFailure`, when the invocation fails; record: the handler's own, `invalid_body`, `panic`, `message_group_blocked`, `deadline_exceeded`, `shutdown`; send: SQS's error code, `connect` (no connection was established), `io` (it broke), `timeout`, `invalid_response`, `invalid_message`, `unbuildable`, `cancelled`, `panic` or `_OTHER` |
//! | `aws.sqs.queue.url` | send | |
//! | `server.address` | send | |
//! | `server.port` | send | |
//! | `aws.request_id` | send | |
//! | `baton.context.dropped` | send | names of the trace context's fields that were dropped, because they exceeded a limit of SQS or of the queue |
//! | `baton.dead_letter.left_out` | send | names of other attributes that were dropped for the same reason, or that SQS does not accept |
//!
//! # Metrics
//!
//! By the same conventions, with the bucket boundaries that they advise for durations. They go with
//! the spans' flush, as deltas unless `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` says
//! otherwise. Instruments of your own, from `opentelemetry::global::meter`, go with them. A test
//! holds this table against what is recorded.
//!
//! | Metric | Kind | Unit | Attributes | What |
//! |---|---|---|---|---|
//! | `messaging.process.duration` | histogram | `s` | `messaging.destination.name`, `messaging.operation.name`, `messaging.system`, `error.type` | a handler's time, the decoding of the body included |
//! | `baton.sqs.queue_latency` | histogram | `s` | `messaging.destination.name` | from a message's acceptance by SQS to the start of its processing |
//! | `messaging.client.consumed.messages` | counter | `{message}` | `messaging.destination.name`, `messaging.operation.name`, `messaging.system` | deliveries, whether they were handled or not |
//! | `messaging.client.sent.messages` | counter | `{message}` | `messaging.destination.name`, `messaging.operation.name`, `messaging.system`, `error.type` | sends to the dead-letter queue |
//! | `messaging.client.operation.duration` | histogram | `s` | `messaging.destination.name`, `messaging.operation.name`, `messaging.operation.type`, `messaging.system`, `error.type` | how long these took |
//! | `faas.coldstarts` | counter | `{coldstart}` | `faas.trigger` | first invocations of a process |
//! | `faas.invocations` | counter | `{invocation}` | `faas.trigger` | invocations that succeeded, whatever became of their messages |
//! | `faas.errors` | counter | `{error}` | `faas.trigger` | invocations that failed, as the response says |
//! | `faas.timeouts` | counter | `{timeout}` | `faas.trigger` | invocations that left messages unhandled because the deadline was near |
//! | `faas.invoke_duration` | histogram | `s` | `faas.trigger` | an invocation's time without its flush |
//!
//! There is no `faas.init_duration`: what Lambda counts as initialisation begins before the process
//! does. Messages beyond the twentieth queue of a process are counted without their queue. What is
//! said of the telemetry itself is in `baton_telemetry`.
//!
//! # Logs
//!
//! Each line of the log carries `trace_id`, `span_id`, `requestId` and `messageId`, and the fields
//! of the `tracing` spans around it, whether or not the feature `tracing` turns these spans into
//! OpenTelemetry spans. The documentation of `baton_telemetry` describes the format of the lines.
//!
//! A program that installs its own `tracing` subscriber adds [`log_layer`] to it in place of its
//! formatting layer and, with the feature `tracing`, `tracing_layer`. Without `log_layer`, log
//! lines lack the ids; without `tracing_layer`, the macros do not create OpenTelemetry spans. A
//! warning at start names a missing layer. If the subscriber's filter omits all spans, as
//! `EnvFilter::from_default_env()` does without `RUST_LOG`, a warning is logged at the first
//! export.
//!
//! # What is in no signal
//!
//! The text of a failure, and of a panic, goes to the span's status and to one log line, the first
//! 4 KiB of it: it must hold no personal data. The same holds for an error that
//! `#[instrument(err)]` records: its text goes to the span's status, an event of the span, and one
//! log line. (Rust's panic hook also writes a panic's text, by default to standard error.) Message
//! bodies are not in any signal unless the program puts them there: `#[instrument]` records each
//! argument that is not skipped, on the span and on every line inside it. The `Debug` form of a
//! [`Message`] shows only its id; to record fields of the body, use `#[instrument(skip_all,
//! fields(order.id = order.id))]`. At debug level, the log has a line per message with the origin
//! of its context, and a line per flush with its outcome.

mod batch;
mod config;
mod consumer;
#[cfg(feature = "dead-letter-queue")]
mod dead_letter;
#[cfg(not(feature = "dead-letter-queue"))]
#[path = "dead_letter/absent.rs"]
mod dead_letter;
mod deadline;
mod envelope;
mod event;
mod event_loop;
mod failure;
mod flush;
mod handler;
mod invocation;
mod message;
mod metrics;
#[cfg(feature = "panic-abort")]
mod panic_abort;
#[cfg(not(feature = "panic-abort"))]
#[path = "panic_abort/absent.rs"]
mod panic_abort;
mod payload;
mod queue;
mod service;
mod shutdown;
mod spans;
pub mod testing;
mod trace_context;
mod trace_variable;
#[cfg(test)]
mod versions;

#[cfg(all(panic = "abort", not(feature = "panic-abort")))]
compile_error!(
    "baton-lambda is compiled with `panic = \"abort\"`: the first panic of a handler would end the process and fail its whole batch.\n\
     `cargo lambda build` and `sam build` set it unless the manifest at the root of the workspace says otherwise. Add to that Cargo.toml:\n\
     \n    [profile.release]\n    panic = \"unwind\"\n\n\
     To keep aborting, enable the feature `panic-abort` of baton-lambda and read its documentation."
);

/// What any event must bear: run by the fuzz target in `fuzz/`, and by tests.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod exercise;

#[cfg(feature = "tracing")]
pub use baton_telemetry::tracing_layer;
pub use baton_telemetry::{LogLayer, Service, Telemetry, log_layer};
pub use config::{AllFailed, FlushPoint, InvalidConfig, PartialResponse, TraceShape};
pub use consumer::{Builder, Consumer, Error, run};
#[cfg(feature = "dead-letter-queue")]
pub use dead_letter::{DeadLetterQueue, InvalidDeadLetterQueue};
pub use envelope::{Envelope, EventBridgeMetadata, SnsMetadata, UnknownEnvelope};
pub use event::MessageAttribute;
pub use failure::{Failure, FailureKind};
pub use flush::{FlushLayer, FlushService};
pub use handler::Handler;
pub use invocation::InvocationError;
pub use message::{Message, Raw};
pub use service::ConsumerService;
/// Crates that a function shares with this one, in matching versions.
#[doc(no_inline)]
pub use {
    aws_lambda_events, baton_telemetry::tracing_subscriber, lambda_runtime, opentelemetry,
    serde_json, tracing,
};
