//! Tests of the onboarding API over real sockets, with a fake SQS and a test collector.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failed unwrap fails the test, also in the support modules"
)]

mod support;

// Responses, messages and spans of requests.
mod responses;

// The metric of requests.
mod measuring;

// Requests while SQS rejects calls, fails or cannot be reached.
mod outages;

// Outages of SQS while clients send requests.
#[cfg(feature = "gather")]
mod outages_under_load;

// The process and its collector, under load and at shutdown.
mod telemetry;

// Headers of the export from Secrets Manager and the Parameter Store.
#[cfg(feature = "secrets")]
mod secrets;

// CPU profiles of this process and of the binary.
#[cfg(feature = "profiling")]
mod profiling;

// Start and shutdown, of the server in this process and of the binary.
mod lifecycle;

// The health check for containers.
mod health;

// The grace period of a shutdown, on connections that clients keep open.
mod grace_period;

// Limits of requests and connections.
mod limits;

// Several onboardings in one request.
mod batch;
