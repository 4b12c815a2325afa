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
    config::{Mapping, MappingError, Responses},
    outcome::{Outcome, Refusal, outcome},
    source::{EventSource, run},
    stats::{Stats, StatsSnapshot},
};

mod config;

mod source;

mod back_off;

mod batch;

mod event;

mod outcome;

mod settle;

mod stats;
