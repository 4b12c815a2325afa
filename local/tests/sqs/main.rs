//! The SQS endpoint as `aws-sdk-sqs` sees it, over real sockets.

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
