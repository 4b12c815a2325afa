//! The event source mapping between a queue and a function: polls the queue, gathers batches,
//! invokes the function, and deletes the messages that succeeded.
//!
//! It uses the SQS endpoint only through `aws-sdk-sqs`, so it can poll LocalStack or AWS as well.
//!
//! Failed records stay in flight until their visibility timeout, as on AWS. So do the records of a
//! batch that found no environment, and messages that were being received when the mapping stopped.
//! No message is lost.

mod backoff;
mod batch;
mod config;
mod delete;
mod event;
mod response;
mod run;
mod stats;

pub use self::config::{FunctionResponseType, MappingConfig, MappingError};
pub use self::response::{BatchOutcome, InvalidResponse, parse_response};
pub use self::run::EventSourceMapping;
pub use self::stats::{MappingSnapshot, MappingStats};
