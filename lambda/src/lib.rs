//! The SQS consumer runtime for Rust Lambda functions: one handler per message, partial batch
//! responses, and traces that continue from the producer.
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
//! The handler gets one message at a time. The runtime handles the batch:
//!
//! - The span of each message continues the trace of the message's producer. The handler runs
//!   inside that span, with the producer's baggage. The batch has its own span, with links to all
//!   producers.
//! - A body that cannot be decoded, an error, or a panic fails only its own message. The response
//!   lists the failed messages. SQS redelivers them, and the other messages are deleted. **This
//!   requires `ReportBatchItemFailures` on the event source mapping. Without it, AWS ignores the
//!   response and deletes the failed messages too.** If the setting is not available, set
//!   `BATON_PARTIAL_RESPONSE=off`.
//! - EventBridge Pipes, with a queue as source and the function as target, sends the same records
//!   and reads the same response without that setting.
//! - On a FIFO queue, the order in each message group is kept: after a failure, the rest of the
//!   group is skipped and returned as failed.
//! - Before the invocation's deadline, the batch is drained: no more messages are started. Shortly
//!   before the deadline, running handlers are cancelled. Unfinished messages are returned as
//!   failed; finished messages stay done.
//! - Telemetry is flushed before the response (or after it), within a time budget, so that nothing
//!   is lost when Lambda freezes or ends the process.
//! - An event that is not from SQS fails the invocation with an error that names the field. No
//!   message is deleted without having been handled.
//!
//! Handlers run concurrently on one thread. CPU-bound work belongs in
//! `tokio::task::spawn_blocking`: a handler that blocks the thread delays all others and cannot be
//! cancelled. A handler is cancelled at an `await`. Tasks that it has started with `spawn_blocking`
//! or `tokio::spawn` continue, although its message is returned as failed. Such tasks run outside
//! the message's span unless they get its context: with `.with_context(Context::current())` of
//! [`FutureExt`](opentelemetry::context::FutureExt), or on a blocking thread with
//! [`Context::attach`](opentelemetry::Context::attach). If the handler runs in a span of
//! `#[instrument]` or of the span macros, `.in_current_span()` of `tracing` is enough to keep the
//! ids on the task's log lines while the task runs.
//!
//! The same code runs on Lambda Managed Instances, which send several invocations at the same time.
//! On tokio's multi-thread runtime, each invocation flushes its own spans.
//!
//! A handler of whole batches ([`ConsumerBuilder::run_batch`]) gets all messages at once, for a
//! store that writes many rows in one request.
//!
//! For a queue with several types of messages, a [`Router`] passes each message to the handler of
//! its type.
//!
//! The module [`testing`] tests handlers without Lambda and without a network.
//!
//! # Failures
//!
//! | The handler | Result |
//! |---|---|
//! | returns `Ok` | SQS deletes the message |
//! | returns an error, or [`Failure::retry`] | SQS redelivers the message, until the queue's redrive policy moves it |
//! | returns [`Failure::permanent`], or an error that is [classified](ConsumerBuilder::classify) as permanent | the same; or, with a dead-letter queue, the message is sent there immediately with the reason, and deleted (with `BATON_PARTIAL_RESPONSE=off`, at the end of the batch, if no other message has failed) |
//! | panics | the same as for a returned error |
//! | expects a body type that the message does not match | the same as for [`Failure::permanent`] |
//! | does not finish in time | SQS redelivers the message |
//!
//! # Environment
//!
//! Options of the [builder](Consumer::builder) take precedence over the environment. The function
//! does not start if a variable is invalid, and reports all invalid variables. It does not start
//! outside Lambda either. Keywords are not case-sensitive, and white space around a value is
//! ignored.
//!
//! | Variable | Meaning | Default |
//! |---|---|---|
//! | `BATON_CONCURRENCY` | messages, or FIFO message groups, handled at the same time; `1` handles them one after another | `10` |
//! | `BATON_ENVELOPE` | envelope of message bodies: `none`, `sns` or `eventbridge` | `none` |
//! | `BATON_TRACE_SHAPE` | `continue`: a message's span is a child of the producer's span; `batch`: it is a child of the batch span, with a link to the producer's span | `continue` |
//! | `BATON_FLUSH_POINT` | when spans are flushed: `before-response`, or `after-response` (before the next invocation) | `before-response` |
//! | `BATON_FLUSH_TIMEOUT` | maximum duration of a flush, in milliseconds | `1000` |
//! | `BATON_DRAIN_BEFORE_DEADLINE` | milliseconds before the deadline from which no more messages are started | `1500`, or a tenth of the invocation's time if that is more |
//! | `BATON_CANCEL_BEFORE_DEADLINE` | milliseconds before the deadline at which running handlers are cancelled | the flush timeout plus `100` |
//! | `BATON_PARTIAL_RESPONSE` | `on`; `off` fails the whole invocation if one message fails | `on` |
//! | `BATON_ALL_FAILED` | response to a batch of which every message failed: `report` the messages, or `fail-invocation` | `report` |
//! | `BATON_MAX_RECEIVE_COUNT` | `maxReceiveCount` of the queue's redrive policy, for `baton.sqs.next_failure_dead_letters` and `baton.sqs.dead_letters` | unknown |
//! | `BATON_DEAD_LETTER_QUEUE_URL` | destination of permanent failures; must not be the source queue (feature `dead-letter-queue`) | none |
//! | `BATON_CLOUDWATCH_QUEUE_LATENCY` | `on` reports queue latencies to CloudWatch, as the metric `QueueLatency` in the namespace `Baton`: one line per batch, or per 100 messages of a larger batch, in the embedded metric format | `off` |
//! | `BATON_GRACEFUL_SHUTDOWN` | `on` makes Lambda announce the shutdown of the process (feature `graceful-shutdown`) | `off` |
//! | `BATON_SPAN_BUFFER_BYTES` | maximum total size of buffered spans, in bytes | 32 MiB |
//! | `BATON_LOG_BUFFER_BYTES` | the same for log records, with `OTEL_LOGS_EXPORTER=otlp` | 8 MiB |
//! | `BATON_METRIC_BUFFER_BYTES` | the same for metrics | 1 MiB |
//! | `BATON_SPILL` | destination of spans that the collector does not accept: `stdout`, for `baton replay`, or `none` | `stdout` |
//! | `BATON_SPILL_LINE_BYTES` | maximum length of a line written there, from 1024 to 262118 bytes | `262118` |
//!
//! Neither drain nor cancellation starts before half of the invocation's time has passed.
//! The standard `OTEL_*` variables configure telemetry: see `baton_telemetry`.
//!
//! # Features
//!
//! All are off by default.
//!
//! | Feature | Effect |
//! |---|---|
//! | `dead-letter-queue` | sends permanent failures to a dead-letter queue; adds the AWS SDK |
//! | `graceful-shutdown` | registers an internal extension, so that Lambda sends SIGTERM before it ends the process: then handlers have 120 ms, a flush 100 ms, and the process exits after 270 ms |
//! | `grpc` | OTLP over gRPC, if the standard variables select it |
//! | `panic-abort` | allows this crate to compile with `panic = "abort"`, which is otherwise an error. Before a panic aborts the process, completed messages are reported as successful, finished spans are written to stdout, and the process restarts. Messages that were being handled are then handled last and one at a time, but only in the same execution environment. With `BATON_PARTIAL_RESPONSE=off`, the whole batch is redelivered instead |
//! | `secrets` | reads headers of the export, such as an API key, from Secrets Manager or the SSM Parameter Store: `OTEL_EXPORTER_OTLP_HEADERS_SECRET` is the ARN (see `baton_secrets`); adds the AWS SDK |
//! | `tracing` | turns spans of the `tracing` macros into OpenTelemetry spans under the message's span, with the status and exception event of `#[instrument(err)]` (see `tracing_layer`) |
//!
//! # Versions
//!
//! A handler's own spans and metrics use OpenTelemetry's globals, and each minor version of
//! `opentelemetry` has separate globals. **This crate uses `opentelemetry` 0.33.** With another
//! version the function compiles and its handlers run, but their spans and metrics are lost. This
//! crate re-exports the matching versions: [`opentelemetry`], and [`tracing`],
//! [`tracing_subscriber`], [`serde_json`], [`lambda_runtime`] and [`aws_lambda_events`]. (The
//! attribute `#[instrument]` needs `tracing` among the function's own dependencies; any `tracing`
//! 0.1 matches.)
//!
//! A wrong version cannot be detected at run time: it drops its spans without a call into this
//! crate, and this crate cannot reach its globals. Two checks find it earlier: `cargo tree --invert
//! opentelemetry` fails when the build contains two versions, and a [test](testing) that looks up
//! the handler's span by [name](testing::Outcome::span) fails.
//!
//! # Trace context
//!
//! The parent of a message's span is the first valid context among the following carriers. A
//! carrier is read only if `OTEL_PROPAGATORS` lists its propagator (default:
//! `tracecontext,baggage`).
//!
//! 1. the message attributes `traceparent`, `tracestate` and `baggage`, in any case,
//! 2. the message attributes `otel.traceparent`, `otel.tracestate` and `otel.baggage`, which
//!    `opentelemetry-instrumentation-boto3sqs` before 0.34b0 sends,
//! 3. the attributes of an SNS notification in the body,
//! 4. an EventBridge event in the body, or in that notification: its own fields, then those of
//!    `detail`,
//! 5. `AWSTraceHeader`, if the list contains `xray`. Otherwise it becomes a link.
//!
//! A malformed value counts as absent, and the span reports it. Without any valid context, the
//! message starts a new trace.
//!
//! Several instrumentations send only `AWSTraceHeader` by default, so the function starts a new
//! trace. When a process first receives such a header with `Sampled=1`, it logs, at level INFO, the
//! settings on either side that connect the traces. `docs/other-producers.md` in the repository
//! lists what each producer sends.
//!
//! # Spans
//!
//! Names and attributes follow the semantic conventions v1.44 (messaging, SQS, FaaS). The status is
//! unset on success. A test compares this table with the emitted spans.
//!
//! | Span | Kind | Parent | Links |
//! |---|---|---|---|
//! | batch: `process_batch {queue}` | CONSUMER | none | the producer of each message, or else the span in its `AWSTraceHeader` |
//! | record: `process {queue}` | CONSUMER | the producer's span | the batch span; the span in `AWSTraceHeader` |
//! | send: `send {dead-letter queue}` | PRODUCER; CLIENT if the message keeps its own context, or no context is sent | the record span | the message's own context |
//!
//! | Attribute | On | Value |
//! |---|---|---|
//! | `messaging.system` | batch, record, send | `aws_sqs` |
//! | `messaging.operation.name` | batch, record, send | `process_batch`, `process`, `send` |
//! | `messaging.operation.type` | batch, record, send | `process`, `send` |
//! | `messaging.destination.name` | batch, record, send | the queue; absent if the batch is from several queues |
//! | `messaging.batch.message_count` | batch | |
//! | `messaging.message.id` | record, send, link | on a link of the batch span, the message of that link |
//! | `faas.trigger` | batch, record | `pubsub` |
//! | `faas.invocation_id` | batch | |
//! | `faas.coldstart` | batch | `true` for the first invocation of the process |
//! | `aws.lambda.invoked_arn` | batch | |
//! | `cloud.account.id` | batch | |
//! | `cloud.resource_id` | batch | the function's ARN with the running version |
//! | `baton.sqs.receive_count` | record | deliveries of the message, including this one |
//! | `baton.sqs.queue_latency` | record | seconds from the time SQS accepted the message to the start of the span |
//! | `baton.sqs.message_group_id` | record | on FIFO queues |
//! | `baton.sqs.next_failure_dead_letters` | record | `true` when the redrive policy moves the message after one more failure |
//! | `baton.sqs.dead_letter_queue` | record | the queue that the message was moved to |
//! | `baton.message.type` | record | the type of the message, if a [`Router`] handles it |
//! | `baton.context.invalid` | record | parts of the message's context that were ignored, with the reasons |
//! | `error.type` | batch, record, send | batch: `BatchFailed` or `UnidentifiedFailure`, if the invocation fails, or that of the failure of a handler of whole batches; record: the handler's own, `invalid_body`, `missing_message_type`, `unknown_message_type`, `panic`, `message_group_blocked`, `deadline_exceeded`, `shutdown`; send: SQS's error code, `connect` (no connection was established), `io` (the connection broke), `timeout`, `invalid_response`, `invalid_message`, `unbuildable`, `cancelled`, `panic` or `_OTHER` |
//! | `aws.sqs.queue.url` | send | |
//! | `server.address` | send | |
//! | `server.port` | send | |
//! | `aws.request_id` | send | |
//! | `baton.context.dropped` | send | names of the trace context's fields that were dropped, because they exceeded a limit of SQS or of the queue |
//! | `baton.attributes.dropped` | send | names of other attributes that were dropped for the same reason, or that SQS does not accept |
//!
//! # Metrics
//!
//! Names follow the same conventions, with the histogram boundaries that they recommend for
//! durations. Metrics are exported with the flush of the spans, with delta temporality unless
//! `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` selects another. The same holds for
//! instruments of the program's own, from `opentelemetry::global::meter`. A test compares this
//! table with the recorded metrics.
//!
//! | Metric | Kind | Unit | Attributes | Meaning |
//! |---|---|---|---|---|
//! | `messaging.process.duration` | histogram | `s` | `messaging.destination.name`, `messaging.operation.name`, `messaging.system`, `error.type` | duration of a handler, including the decoding of the body |
//! | `baton.sqs.queue_latency` | histogram | `s` | `messaging.destination.name` | time from when SQS accepted a message to the start of its processing |
//! | `baton.sqs.receive_count` | histogram | `{delivery}` | `messaging.destination.name` | deliveries of a message, including this one, at the start of its processing |
//! | `baton.sqs.dead_letters` | counter | `{message}` | `baton.sqs.moved_by`, `messaging.destination.name` | messages that are moved from the queue to a dead-letter queue |
//! | `messaging.client.consumed.messages` | counter | `{message}` | `messaging.destination.name`, `messaging.operation.name`, `messaging.system` | deliveries, including messages that were not handled |
//! | `messaging.client.sent.messages` | counter | `{message}` | `messaging.destination.name`, `messaging.operation.name`, `messaging.system`, `error.type` | sends to the dead-letter queue |
//! | `messaging.client.operation.duration` | histogram | `s` | `messaging.destination.name`, `messaging.operation.name`, `messaging.operation.type`, `messaging.system`, `error.type` | duration of these sends |
//! | `faas.coldstarts` | counter | `{coldstart}` | `faas.trigger` | first invocations of a process |
//! | `faas.invocations` | counter | `{invocation}` | `faas.trigger` | invocations that succeeded, even if messages failed |
//! | `faas.errors` | counter | `{error}` | `faas.trigger` | invocations that failed |
//! | `faas.timeouts` | counter | `{timeout}` | `faas.trigger` | invocations that left messages unhandled because the deadline was near |
//! | `faas.init_duration` | histogram | `s` | `faas.trigger` | time from the start of the process to its first request for an event |
//! | `faas.invoke_duration` | histogram | `s` | `faas.trigger` | duration of an invocation without its flush |
//! | `baton.telemetry.flush.duration` | histogram | `s` | `baton.telemetry.outcome` | time that a flush adds to an invocation |
//!
//! `baton.telemetry.outcome` of a flush is `complete` if the flush ended within its time, even if
//! the export failed. It is `timeout` if the time ran out, and `shutdown` if the shutdown of the
//! process cut the flush short. A flush before the response delays the response; a flush after it
//! delays the next invocation. Each flush exports the duration of the previous one. The duration of
//! a process's last flush is therefore lost, unless the shutdown is announced
//! (`BATON_GRACEFUL_SHUTDOWN`). Exports that run while messages are handled are not included,
//! because they do not delay the handlers.
//!
//! `baton.sqs.moved_by` is `function` if the function has sent the message to the dead-letter queue
//! itself. It is `redrive_policy` if the message is returned to the queue after
//! `BATON_MAX_RECEIVE_COUNT` deliveries: after its visibility timeout, SQS moves it instead of
//! delivering it again. Without that variable, only the messages that the function sends are
//! counted. Messages of an invocation that times out or crashes are never counted, so set an alarm
//! on the dead-letter queue itself.
//!
//! `faas.init_duration` has a resolution of 10 ms, as the kernel's start time of a process does. It
//! includes dynamic linking, the program's own code before [`run`](ConsumerBuilder::run), and the
//! set-up of the telemetry and of the consumer. It excludes the work that Lambda does before it
//! starts the process. The first flush exports it. It is not recorded with SnapStart, or after a
//! panic has restarted the program (feature `panic-abort`). A [`ConsumerService`] does not record
//! it either, because the program itself requests the events.
//!
//! A process records at most 20 queues by name. Messages of further queues are counted without a
//! queue name. Other metrics about telemetry itself are documented in `baton_telemetry`.
//!
//! # Logs
//!
//! Each log line has `trace_id`, `span_id`, `requestId` and `messageId`, and the fields of the
//! enclosing `tracing` spans, whether or not the feature `tracing` turns these spans into
//! OpenTelemetry spans. The documentation of `baton_telemetry` describes the format of the lines.
//!
//! A program that installs its own `tracing` subscriber adds [`log_layer`] to it in place of its
//! formatting layer and, with the feature `tracing`, `tracing_layer`. Without `log_layer`, log
//! lines lack the ids; without `tracing_layer`, the macros do not create OpenTelemetry spans. At
//! start, a warning names each missing layer. If the subscriber's filter omits all spans, as
//! `EnvFilter::from_default_env()` does without `RUST_LOG`, a warning is logged at the first
//! export.
//!
//! # Personal data
//!
//! The text of a failure or of a panic is recorded in the span status and in one log line, limited
//! to 4 KiB. It must not contain personal data. The same holds for an error that
//! `#[instrument(err)]` records: its text goes to the span status, an event of the span, and one
//! log line. (Rust's panic hook also writes the text of a panic, by default to standard error.)
//! Message bodies are not in any signal unless the program puts them there: `#[instrument]` records
//! each argument that is not skipped, on the span and on every line inside it. The `Debug` form of
//! a [`Message`] shows only its id; to record fields of the body, use `#[instrument(skip_all,
//! fields(order.id = order.id))]`. At debug level, the log has a line per message with the origin
//! of its context, and a line per flush with its result.

#![cfg_attr(docsrs, feature(doc_cfg))]

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
mod error;
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
mod process_age;
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
    "baton-lambda is compiled with `panic = \"abort\"`: the first panic of a handler would end the process and fail the whole batch.\n\
     `cargo lambda build` and `sam build` set `panic = \"abort\"` unless the manifest at the root of the workspace sets another value. Add to that Cargo.toml:\n\
     \n    [profile.release]\n    panic = \"unwind\"\n\n\
     For another profile, add the same line to the section of that profile. An environment variable such as \
     `CARGO_PROFILE_RELEASE_PANIC` takes precedence over the manifest: unset it.\n\
     To keep aborting, enable the feature `panic-abort` of baton-lambda and read its documentation."
);

/// Checks of invariants for any event, run by the fuzz target in `fuzz/` and by tests.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod exercise;

#[cfg(feature = "tracing")]
pub use baton_telemetry::tracing_layer;
/// The version that [`log_layer`] requires, for programs with their own subscriber.
#[doc(no_inline)]
pub use baton_telemetry::tracing_subscriber;
pub use baton_telemetry::{
    InvalidExporter, LogLayer, ServiceInfo, Telemetry, TelemetryBuilder, log_layer,
};
pub use config::{AllFailed, FlushPoint, InvalidConfig, PartialResponse, TraceShape};
pub use consumer::{Consumer, ConsumerBuilder, Run, run};
#[cfg(feature = "dead-letter-queue")]
pub use dead_letter::{DeadLetterQueue, InvalidDeadLetterQueue};
pub use envelope::{Envelope, EventBridgeMetadata, SnsMetadata, UnknownEnvelope};
pub use error::Error;
pub use event::MessageAttribute;
pub use failure::{Class, Failure, FailureKind, HandlerError, ResultExt};
pub use flush::{FlushLayer, FlushService};
pub use handler::{
    BatchHandler, BatchHandlerFn, Handler, HandlerFn, HandlerFuture, HandlerLayers, HandlerResult,
    HandlerService, MessageBody, Messages, NoLayers, Router, RouterArgs,
};
pub use invocation::InvocationError;
pub use message::{Message, Raw};
pub use service::ConsumerService;
/// Crates in the versions that this crate uses. A program must use the same versions.
#[doc(no_inline)]
pub use {
    aws_lambda_events, lambda_runtime, opentelemetry, opentelemetry_sdk, serde_json, tracing,
};
