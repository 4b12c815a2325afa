//! The SQS endpoint as `aws-sdk-sqs` sees it, over real sockets.

#![allow(
    clippy::unwrap_used,
    reason = "clippy does not see that the helpers of a test are part of it"
)]

// A running endpoint with its client, and small helpers.
mod support;

// Queues: their life and their attributes.
mod queues;

// Messages: there and back, in batches, redriven.
mod messages;

// What is refused, and as which of the SDK's errors.
mod refusals;

// Starting and stopping.
mod lifecycle;

// Host names that are accepted, as protection against DNS rebinding.
mod hosts;
