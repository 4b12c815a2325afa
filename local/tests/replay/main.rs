//! The `baton replay` command, as a process, against collectors on real sockets.

#![allow(
    clippy::unwrap_used,
    reason = "clippy does not see that the helpers of a test are part of it"
)]

// A collector that answers as it is told, spilled spans, and the command.
mod support;

// What is sent, and what is not sent again.
mod ledger;

// Logs of all kinds, and what is missing in them.
mod logs;

// Log formats: those that are read, and those that are reported as not understood.
mod forms;

// Collectors that do not take everything, or nothing.
mod collectors;
