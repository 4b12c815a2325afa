//! Errors of a replay.

use std::io;

use baton_telemetry::replay::{InvalidEnvironment, SendFailure};

use super::ledger::LedgerError;

/// Error that ends a replay.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    #[error(transparent)]
    Environment(#[from] InvalidEnvironment),
    #[error("cannot open {name}")]
    Open { name: String, source: io::Error },
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("cannot read {name}")]
    Read { name: String, source: io::Error },
    /// The first request failed.
    #[error("no spans were sent to {endpoint}")]
    NothingSent {
        endpoint: String,
        source: SendFailure,
    },
    /// A request failed after others had been accepted.
    #[error(
        "not all spans were sent to {endpoint}: the ledger records the accepted requests, and the \
         next replay of the log sends the rest"
    )]
    PartlySent {
        endpoint: String,
        source: SendFailure,
    },
}
