//! What end-to-end tests and benchmarks put around one function process: a Lambda service and an
//! OTLP collector, on loopback sockets.
//!
//! ```no_run
//! use baton_test_support::{Answer, TestCollector, FakeLambda, Function, Record, event};
//! use std::time::Duration;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let collector = TestCollector::start(Answer::Ok).await?;
//! let function = Function::new("target/release/examples/noop").exporting_to(&collector);
//! let lambda = FakeLambda::start(&function).await?;
//! let invocation = lambda.invoke(event(&[Record::new(0)]), Duration::from_secs(3)).await?;
//! assert!(invocation.response.is_ok());
//! assert_eq!(collector.spans()?.len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! The process is the real one: it gets the variables that Lambda sets, a clean environment
//! otherwise, and signals. What happened is told with the moments at which it was seen here, all on
//! one clock, so that "exported before the response" is a comparison.
//!
//! The whole pipeline (queue, event source mapping, pool of environments) is `baton-local`'s; the
//! tests of it are in `tests/it/`.

#![forbid(unsafe_code)]

mod collector;
mod event;
mod lambda;
mod server;
mod sqs;

pub use bytes::Bytes;
pub use collector::{
    AggregationTemporality, Answer, AttributeValue, Behaviour, Export, InvalidExport, Link,
    LogRecord, Metric, Point, PointValue, Resource, Scope, Signal, Span, SpanEvent, SpanKind,
    Status, StatusCode, TestCollector,
};
pub use event::{Record, event};
pub use hyper::HeaderMap;
pub use lambda::{
    ACCOUNT, Ended, FUNCTION_ARN, FUNCTION_NAME, FakeLambda, Function, FunctionError, Invocation,
    LambdaError, REGION,
};
pub use sqs::{FakeSqs, SqsCall, SqsReply};
