//! The producer over real sockets: real HTTP in, a fake SQS behind, and assertions on what crosses the wire.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests say what must hold with them, in their support as well"
)]

mod support;

// What a send puts on the wire, and its span.
mod sending;

// What is counted of sends, and how long they took.
mod metering;

// What the API answers, and its span.
mod answers;

// What becomes of requests while SQS refuses, fails or is away.
mod outages;

// Starting and stopping: the server in this process, and the binary as one of its own.
mod lifecycle;
