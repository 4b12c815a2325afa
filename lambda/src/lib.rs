//! The SQS-consumer runtime for Rust Lambda functions: one handler per message, partial batch responses, and the trace kept whole.
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
//! - Each message's span continues the trace of its producer, whose W3C context is in the message attributes, and the handler runs inside
//!   it, with the producer's baggage. The batch has a span of its own that links to all of them.
//! - A body that does not decode, an error, a panic fails that message alone. Failed messages are named in the response and delivered
//!   again, the others are deleted. **This needs `ReportBatchItemFailures` on the event source mapping: without it AWS ignores the
//!   response and deletes the failed messages too.** Where it cannot be had, set `BATON_PARTIAL_RESPONSE=off`.
//! - On a FIFO queue the order inside each message group is kept: after a failure the rest of the group is returned untried.
//! - Everything is flushed before the response, within a budget: nothing is lost when Lambda freezes or ends the process.
//! - An event that is not from SQS fails the invocation with an error that names the field. No message is deleted unseen.
//!
//! Handlers run side by side on one thread. CPU-bound work belongs in `tokio::task::spawn_blocking`: a handler that blocks the thread
//! holds up the others, and nothing can interrupt it.
//!
//! # Environment
//!
//! What the [builder](Consumer::builder) sets wins over the environment. A variable that cannot be used keeps the function from starting,
//! with an error that names it; so does a process that was not started by Lambda.
//!
//! | Variable | Meaning | Default |
//! |---|---|---|
//! | `BATON_CONCURRENCY` | messages, or FIFO groups, handled side by side | `10` |
//! | `BATON_FLUSH_TIMEOUT` | milliseconds that a flush may take | `1000` |
//! | `BATON_PARTIAL_RESPONSE` | `on`; `off` fails the whole invocation for one failed message | `on` |
//!
//! Telemetry is configured by the standard `OTEL_*` variables: see `baton_telemetry`.
//!
//! # Spans
//!
//! Names and attributes follow the semantic conventions v1.44 (messaging, SQS, FaaS). The status is left unset on success.
//!
//! | Span | Kind, parent, links | Attributes |
//! |---|---|---|
//! | `process_batch {queue}` | CONSUMER, a root; a link to each record's producer, with `messaging.message.id` | `messaging.system`, `messaging.operation.name`, `messaging.operation.type`, `messaging.destination.name`, `messaging.batch.message_count`, `faas.trigger`, `faas.invocation_id`, `faas.coldstart`, `aws.lambda.invoked_arn`, `cloud.account.id`, `cloud.resource_id` |
//! | `process {queue}` | CONSUMER, child of the producer's span; a link to the batch span | `messaging.system`, `messaging.operation.name`, `messaging.operation.type`, `messaging.destination.name`, `messaging.message.id`, `faas.trigger`, `baton.sqs.receive_count`, `baton.sqs.queue_latency` (seconds), and where they apply `error.type`, `baton.sqs.message_group_id`, `baton.context.invalid` |
//!
//! Records of several queues in one batch leave the queue out of the batch span's name. `error.type` is the handler's own, or
//! `invalid_body`, `panic`, `message_group_blocked`. The text of a failure goes to the span's status and to one log line: it must hold no
//! personal data. Bodies are in no signal.

mod config;
mod consumer;
mod context;
#[cfg(feature = "dead-letter-queue")]
mod dead_letter;
#[cfg(not(feature = "dead-letter-queue"))]
#[path = "dead_letter/absent.rs"]
mod dead_letter;
mod envelope;
mod event;
mod failure;
mod flush;
mod halt;
mod handler;
mod invocation;
mod invoker;
mod message;
mod queue;
mod service;
mod shutdown;
mod spans;
pub mod testing;

#[cfg(feature = "tracing")]
pub use baton_telemetry::tracing_layer;
pub use baton_telemetry::{Service, Telemetry};
pub use config::{AllFailed, FlushPoint, InvalidConfig, PartialResponse, TraceShape};
pub use consumer::{Builder, Consumer, Error, run};
#[cfg(feature = "dead-letter-queue")]
pub use dead_letter::{DeadLetterQueue, InvalidDeadLetterQueue};
pub use envelope::{Envelope, EventBridgeMetadata, SnsMetadata, UnknownEnvelope};
pub use event::MessageAttribute;
pub use failure::{Failure, FailureKind};
pub use flush::{FlushLayer, FlushService};
pub use handler::Handler;
pub use invoker::InvocationError;
pub use message::{Message, Raw};
pub use service::ConsumerService;
