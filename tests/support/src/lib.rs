//! A fake Lambda service, SQS endpoint and OTLP collector on loopback sockets, for tests and
//! benchmarks.
//!
//! ```no_run
//! use baton_test_support::{CollectorResponse, FakeLambda, Function, Record, TestCollector, event};
//! use std::time::Duration;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let collector = TestCollector::start(CollectorResponse::Ok).await?;
//! let function = Function::new("target/release/noop").export_to(&collector);
//! let lambda = FakeLambda::start(&function).await?;
//! let invocation = lambda.invoke(event(&[Record::new(0)]), Duration::from_secs(3)).await?;
//! assert!(invocation.response.is_ok());
//! assert_eq!(collector.spans()?.len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! The function is a real process. It gets the environment variables that Lambda sets and none of
//! this process's own, and it receives signals. All times are read from the clock of this process,
//! so that a test can compare the arrival of a span with the response.
//!
//! This package does not depend on any other package of the workspace, so that unit tests of each
//! of them can use it. `baton-local` has the whole pipeline: queue, event source mapping and a pool
//! of execution environments.

#![forbid(unsafe_code)]

mod collector;
mod event;
mod lambda;
mod output;
mod server;
#[cfg(feature = "span-recorder")]
pub mod span_recorder;
mod sqs;
#[cfg(feature = "warnings")]
pub mod warnings;

pub use bytes::Bytes;
pub use collector::{
    AggregationTemporality, AttributeValue, Behaviour, CollectorResponse, Export, InvalidExport,
    Link, LogRecord, Metric, Point, PointValue, Resource, Scope, Signal, Span, SpanEvent, SpanKind,
    Status, StatusCode, TestCollector,
};
pub use event::{Record, event};
pub use hyper::HeaderMap;
pub use lambda::{
    ACCOUNT, FUNCTION_ARN, FUNCTION_NAME, FakeLambda, Function, FunctionError, Invocation,
    LambdaError, ProcessExit, REGION,
};
pub use output::OutputLines;
pub use sqs::{FakeSqs, SqsCall, SqsResponse};
