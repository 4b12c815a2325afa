//! End-to-end tests: `baton up` with the real function and the real producer, driven over HTTP and
//! with `aws-sdk-sqs`.
//!
//! Every test starts its own stack, and stopping the stack checks that no process is left behind.
//! Tests of the function alone run it under the fake Lambda of `baton-test-support`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests and their support assert with them"
)]

mod support;

// Messages: handled, retried, dead-lettered.
mod messages;

// Traces: one per message, links from the batch span, contexts of callers.
mod traces;

// Execution environments: no span and no message is lost by freezing, killing or panics.
mod environments;

// Access to the stack's own SQS from functions and shells, without AWS.
mod own_sqs;

// `baton demo` with a function that is not its own.
mod demo;

// `baton load` with its own stack.
mod load;

// Personal data: in no span and no log.
mod privacy;

// The fake Lambda and the collector of `baton-test-support`, which the following tests use.
mod fakes;

// Responses and exports of one function, without the rest of the stack.
mod function;

// The Runtime API: requests for events, and the headers of the responses.
mod runtime_api;

// Every field of every span on the wire, for batches of all sizes.
mod wire;

// Propagators and samplers.
mod propagators;

// Invalid environment variables.
mod configuration;

// Deadlines.
mod deadline;

// The flush point, and the spans of concurrent invocations.
mod flush_point;

// Traces, metrics and logs of both services in one run.
mod signals;

// Compiler errors for wrong handlers.
mod wrong_handlers;

// Collectors that fail: delays of the function, and no lost span.
mod outage;

// The debug log.
mod debug_log;

// Graceful shutdown.
mod shutdown;

// The examples, each as a process.
mod examples;

// A function that was moved from `lambda_runtime`, before and after.
mod from_lambda_runtime;

// Rules of style for the sources of the workspace.
mod tidy;
