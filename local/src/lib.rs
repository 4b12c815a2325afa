//! AWS on a laptop for one pipeline: an SQS endpoint, an event source mapping, Lambda execution environments and an OTLP receiver.

pub mod cli;
pub mod demo;
pub mod environment;
pub mod mapping;
pub mod otlp;
pub mod sqs;
pub mod stack;
