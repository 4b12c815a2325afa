//! An in-process SQS endpoint for AWS SDKs, with standard queues.
//!
//! It implements the AWS JSON 1.0 protocol (`POST /` with `X-Amz-Target: AmazonSQS.<Action>`),
//! accepts any signature without verifying it, and responds to `GET /` and `GET /health` with 200
//! once it is ready. `GET /metrics` returns the depth of each queue in the OpenMetrics text format.
//! Requests for a host that is neither this machine nor SQS on AWS are rejected with 421, unless
//! [`SqsConfig::allowed_hosts`] contains it. Queues are created through the API and stored in
//! memory. Queue URLs have the form `http://127.0.0.1:PORT/000000000000/NAME`.
//!
//! These behave as on AWS: visibility timeouts, delays, retention, redrive to a dead-letter queue,
//! long polls that return as soon as a message arrives, message and system attributes with their
//! MD5s, the limits, and the error codes in both spellings (`__type` and `x-amzn-query-error`).
//! FIFO queues, tags, permissions and message moves are rejected with `UnsupportedOperation`.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
//! let stop = async { tokio::signal::ctrl_c().await.unwrap_or(()) };
//! baton_local::sqs::serve(listener, baton_local::sqs::SqsConfig::default(), stop).await
//! # }
//! ```
//!
//! Layers, from the socket inwards: `server` (HTTP) → `actions` (one function per action; `wire`
//! has the JSON types) → `shared_account` (lock, clock, long polls) → `account` (all queues) →
//! `queue` (one queue; pure: the time is an argument). `metrics` reads all queues.

mod account;
mod actions;
mod clock;
mod config;
mod digest;
mod error;
mod limits;
mod message;
mod metrics;
mod new_message;
mod queue;
mod receipt;
mod server;
mod settings;
mod shared_account;
mod wire;

pub use config::SqsConfig;
pub(crate) use limits::check_queue_name;
pub use server::{Listeners, serve};
