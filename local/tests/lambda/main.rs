//! Tests of execution environments and the event source mapping, with real processes and real
//! sockets.

#![expect(
    clippy::unwrap_used,
    reason = "everything here is a test, which the lint only sees in test functions"
)]

/// The function that the environments run: this binary in another role.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a function writes is what its log consists of"
)]
mod function;

/// Helpers to start the function and to wait for conditions.
mod support;

/// Environments: invocations, freezing, errors, limits, termination.
mod environment;

/// Extensions, which have the shutdown announced.
mod extension;

/// A queue on the local SQS endpoint, and a running mapping.
mod queue;

/// The event source mapping: batches, responses, redelivery, backoff, shutdown.
mod mapping;

/// Processes left behind when the local stack itself is killed.
mod host;

/// The `baton` command with a test function: its output, and its exit.
mod command;
