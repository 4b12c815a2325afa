//! Tests of `baton replay`, which runs as a process and sends to collectors on real sockets.

#![allow(
    clippy::unwrap_used,
    reason = "clippy does not see that the helpers of a test are part of it"
)]

// Spilled spans, the spans that a collector accepted, and the command.
mod support;

// The ledger, and options that change which spans are sent.
mod ledger;

// Reading of logs: compressed, incomplete, large or followed.
mod logs;

// Log formats that are supported, and formats that are reported as unreadable.
mod forms;

// Collectors that reject requests or spans, wrong endpoints, and the environment.
mod collectors;
