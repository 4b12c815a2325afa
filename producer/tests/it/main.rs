//! Tests of the sender with a fake SQS on a real socket.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failed unwrap fails the test, also in the support modules"
)]

mod support;

// The message and the span of a send.
mod sending;

// Batches, attempts and the buffer.
#[cfg(feature = "gather")]
mod gathering;

// Sends whose futures are dropped.
#[cfg(feature = "gather")]
mod dropped_sends;

// Queues whose `MaximumMessageSize` is below the limit of SQS.
mod size_limit;

// The metrics of sends.
mod metering;

// Sends to an SQS that cannot be reached.
#[cfg(feature = "gather")]
mod outages;

// Calls of an AWS SDK client with the interceptor.
mod trace_interceptor;
