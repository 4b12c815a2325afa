//! Tests of the SQS endpoint with `aws-sdk-sqs`, over real sockets.

#![allow(
    clippy::unwrap_used,
    reason = "clippy does not see that the helpers of a test are part of it"
)]

// A running endpoint, its client, and helpers.
mod support;

// Creating, listing, changing and deleting queues.
mod queues;

// Sending, receiving and deleting messages, batches, and redrive.
mod messages;

// Rejected requests, and the SDK's errors for them.
mod errors;

// Start and shutdown.
mod lifecycle;

// Metrics of the queues.
mod metrics;

// Host names that are accepted, as protection against DNS rebinding.
mod hosts;
