//! The whole pipeline as a user has it: `baton up` with the real function and the real producer,
//! driven over HTTP and with `aws-sdk-sqs`.
//!
//! Every scenario has a stack of its own, and stopping it checks that no process is left behind.
//! Scenarios of the function alone run it under the fake Lambda of this package's library.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests say what must hold with them, in their support as well"
)]

mod support;

// What happens to messages: handled once, handled again, given up.
mod messages;

// What the spans say: one trace a message, links a batch, contexts from outside.
mod traces;

// What the process model of Lambda must not cost: spans and messages survive freezing, killing and
// panics.
mod environments;

// How functions and shells reach the stack's own SQS, and never AWS.
mod own_sqs;

// What `baton demo` makes of a function that it is not for.
mod demo;

// What must not be seen anywhere.
mod privacy;

// The fake Lambda and the fake collector of this package, which the following stand on.
mod fakes;

// What one function does under a fake Lambda and a fake collector, without the rest of the stack.
mod function;

// Requests for events, and the headers that are read from the responses.
mod runtime_api;

// Every field of every span on the wire, at every size of batch.
mod wire;

// Which contexts it reads, and who decides whether there are spans.
mod propagators;

// What it makes of variables that are wrong.
mod configuration;

// What it does when its time runs out.
mod deadline;

// When it sends its spans, and whose.
mod flush_point;

// Traces, metrics and logs of both services in one run.
mod signals;

// What a collector that is out of order costs it, and how nothing is lost meanwhile.
mod outage;

// What it logs at debug level.
mod debug_log;

// How it ends.
mod shutdown;

// The examples, each as the process that a user makes of it.
mod examples;
