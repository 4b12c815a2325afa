//! Lambda functions on SQS that keep the trace whole.

mod config;
mod consumer;
mod context;
mod event;
mod failure;
mod handler;
mod invocation;
mod message;
mod spans;

pub use config::{InvalidConfig, PartialResponse};
pub use consumer::{Builder, Consumer, Error, run};
pub use event::InvalidEvent;
pub use failure::{Failure, Retry};
pub use handler::Handler;
pub use message::{Message, Raw};
