//! What can go wrong with the stack, with what the process concerned had to say about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::queues::QueueError;
use crate::environment::{EarlyExitCause, EnvironmentId, InvokeError, StartError};
use crate::mapping::MappingError;

/// Why the stack did not start, or does not run any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// A port could not be had.
    #[error("cannot listen on 127.0.0.1:{port} for {service}")]
    Listen {
        /// Who wanted it.
        service: &'static str,
        /// The port as given.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// The queues could not be made.
    #[error("cannot set the queues up")]
    Queues(#[from] QueueError),
    /// The function cannot be set up.
    #[error("cannot set the function up")]
    FunctionSetUp(#[from] StartError),
    /// The function did not ask for its first event.
    #[error("the function did not initialise; its output was:\n{output}")]
    FunctionInit {
        /// The reason.
        source: InvokeError,
        /// The last lines of its output, indented.
        output: String,
    },
    /// An environment of the function ended before its time.
    #[error("{0}; its last words were:\n{output}", output = .0.output)]
    Function(FunctionExit),
    /// AWS would not create such an event source mapping.
    #[error("cannot set the event source mapping up")]
    Mapping(#[from] MappingError),
    /// The producer's binary cannot be started.
    #[error("cannot start the producer {}", path.display())]
    ProducerStart {
        /// The binary.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The producer ended.
    #[error("the producer ended ({exit}); its last words were:\n{log}")]
    ProducerEnded {
        /// How it ended.
        exit: String,
        /// The tail of its log.
        log: String,
    },
    /// The producer runs, but does not become ready.
    #[error("the producer was not ready within {} s: {missing}; its last words were:\n{log}", after.as_secs())]
    ProducerNotReady {
        /// How long it was given.
        after: Duration,
        /// What it did not do.
        missing: String,
        /// The tail of its log.
        log: String,
    },
    /// One of our own servers ended.
    #[error("{name} failed: {reason}")]
    Server {
        /// Which one.
        name: &'static str,
        /// Why.
        reason: String,
    },
}

/// The function ended before its time, in one of its environments.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{cause} (environment {environment})")]
pub struct FunctionExit {
    /// The environment.
    pub environment: EnvironmentId,
    /// What happened.
    pub cause: EarlyExitCause,
    /// The last lines of this environment, and of no other, indented.
    pub output: String,
}
