//! Execution environments and the event source mapping, with real processes and real sockets.

#![expect(
    clippy::unwrap_used,
    reason = "everything here is a test, which the lint only sees in test functions"
)]

/// The function that the environments run: this very binary, in another role.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a function writes is what its log consists of"
)]
mod function;

/// Starting the function, and waiting for what must become true.
mod support;

/// The life of environments: invocations, freezing, errors, limits, ends.
mod environment;

/// Extensions: those that have the end announced.
mod extension;

/// A queue on the local endpoint, and a mapping that runs.
mod queue;

/// The event source mapping: batches, outcomes, redelivery, back-pressure, stopping.
mod mapping;

/// What is left when the local stack itself is killed.
mod host;

/// The `baton` command around a function of ours: what it says, and what it leaves behind.
mod command;
