//! An SQS endpoint inside this process, close enough to AWS that its SDKs cannot tell standard
//! queues apart.
//!
//! It speaks the AWS JSON 1.0 protocol (`POST /` with `X-Amz-Target: AmazonSQS.<Action>`), takes
//! any signature unverified, and answers `GET /` and `GET /health` with 200 once it is ready.
//! Requests for a host that is neither this machine nor SQS on AWS are refused with 421, unless
//! [`Config::allowed_hosts`] contains it. Queues live in memory and are created over the wire.
//! Queue URLs have the form `http://127.0.0.1:PORT/000000000000/NAME`.
//!
//! What it does as AWS does: visibility timeouts, delays, retention, redrive to a dead-letter
//! queue, long polls that wake at once, message and system attributes with their MD5s, the limits,
//! and the error codes in both spellings (`__type` and `x-amzn-query-error`). FIFO queues, tags,
//! permissions and message moves are refused with `UnsupportedOperation`.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
//! let stop = async { tokio::signal::ctrl_c().await.unwrap_or(()) };
//! baton_local::sqs::serve(listener, baton_local::sqs::Config::default(), stop).await
//! # }
//! ```
//!
//! Layout, from the socket inwards: `server` (HTTP) → `actions` (one function an action; `wire` has
//! its JSON) → `shared_account` (the lock, the clock, waiting) → `account` (all queues) → `queue` (one queue;
//! pure: the time is an argument).

mod account;
mod actions;
mod clock;
mod config;
mod digest;
mod error;
mod limits;
mod message;
mod new_message;
mod queue;
mod receipt;
mod server;
mod settings;
mod shared_account;
mod wire;

pub use config::Config;
pub(crate) use limits::check_queue_name;
pub use server::serve;
