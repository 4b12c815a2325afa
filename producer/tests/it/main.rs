//! The sender against a fake SQS on a real socket, with assertions on what crosses the wire.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests say what must hold with them, in their support as well"
)]

mod support;

// What a send puts on the wire, and its span.
mod sending;

// Queues whose `MaximumMessageSize` is below the limit of SQS.
mod size_limit;

// What is counted of sends, and how long they took.
mod metering;

// Sends to an SQS that cannot be reached.
mod outages;
