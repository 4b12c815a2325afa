//! The onboarding API over real sockets: real HTTP in, a fake SQS behind, and assertions on what
//! crosses the wire.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests say what must hold with them, in their support as well"
)]

mod support;

// What the API answers, and its span.
mod answers;

// How requests are measured.
mod measuring;

// What becomes of requests while SQS refuses, fails or is away.
mod outages;

// The binary and its collector, under load and at the end.
mod telemetry;

// Headers of the export from Secrets Manager and the Parameter Store.
#[cfg(feature = "secrets")]
mod secrets;

// Starting and stopping: the server in this process, and the binary as one of its own.
mod lifecycle;
