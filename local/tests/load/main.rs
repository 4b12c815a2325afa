//! `baton load`, run as a process against fake services.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests and their support assert with them"
)]

mod support;

// Rates, concurrency, and latencies with and without a stall of the service.
mod loops;

// Services that reject, hang, close connections or do not listen, and interrupts.
mod failures;

// The check of the accepted messages in the queues.
mod check;

// The check of the accepted messages in the function's table.
#[cfg(feature = "dynamodb")]
mod table;

// The customers of the profiles.
mod profiles;

// Spans of the requests.
mod spans;

// Targets with TLS.
mod tls;

// Options from environment variables.
mod variables;

// Runs that are started over HTTP.
mod serve;
