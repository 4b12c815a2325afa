//! The event source mapping between a queue and a function: polls over the wire, gathers batches,
//! invokes, and deletes only what succeeded.
//!
//! It knows nothing of the local SQS endpoint beyond what `aws-sdk-sqs` does, so it can poll
//! LocalStack or AWS just as well.
//!
//! Records that failed are left alone: they stay in flight until their visibility timeout, as on
//! AWS. The same holds for a batch that found no environment free, and for messages that were on
//! their way to us when the mapping was stopped. Nothing is lost, and nothing is hurried.

pub use self::{
    config::{FunctionResponseType, MappingConfig, MappingError},
    response::{BatchOutcome, InvalidResponse, parse_response},
    run::EventSourceMapping,
    stats::{MappingSnapshot, MappingStats},
};

mod config;

mod run;

mod backoff;

mod batch;

mod event;

mod response;

mod delete;

mod stats;
