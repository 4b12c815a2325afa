//! Errors of the stack, with the output of the process concerned.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::queues::QueueSetupError;
use crate::environment::{EarlyExitCause, EnvironmentId, InvalidFunction, InvokeError};
use crate::mapping::MappingError;

/// Error in starting or running the stack.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// A listener cannot be bound to its address.
    #[error("cannot listen on {address} for {service}")]
    Listen {
        /// Name of the service.
        service: &'static str,
        /// The configured address.
        address: SocketAddr,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The queues cannot be created.
    #[error("cannot create the queues")]
    Queues(#[from] QueueSetupError),
    /// The function cannot be set up.
    #[error("cannot set up the function")]
    FunctionSetUp(#[from] InvalidFunction),
    /// The function did not poll for its first event.
    #[error("the function did not initialise: {cause}; its output:\n{output}")]
    FunctionInit {
        /// Cause of the failure. It is not the error's source, because the text contains it.
        cause: InvokeError,
        /// The last lines of its output, indented.
        output: String,
    },
    /// An environment of the function ended early.
    #[error("{0}; its last output:\n{output}", output = .0.output)]
    Function(FunctionExit),
    /// The event source mapping cannot be created with this configuration.
    #[error("cannot create the event source mapping")]
    Mapping(#[from] MappingError),
    /// The producer's binary cannot be started.
    #[error("cannot start the producer {}", path.display())]
    ProducerStart {
        /// Path of the binary.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The producer exited.
    #[error("the producer exited ({exit}); its last output:\n{log}")]
    ProducerEnded {
        /// Exit status of the producer.
        exit: String,
        /// The last lines of its log, indented.
        log: String,
    },
    /// The producer runs but did not become ready in time.
    #[error("timed out after {} s waiting for the producer: {missing}; its last output:\n{log}", after.as_secs())]
    ProducerNotReady {
        /// The time limit.
        after: Duration,
        /// The reason why the producer does not count as ready.
        missing: String,
        /// The last lines of its log, indented.
        log: String,
    },
    /// A server of the stack stopped.
    #[error("{name} failed: {reason}")]
    Server {
        /// Name of the server.
        name: &'static str,
        /// Reason of the failure.
        reason: String,
    },
}

/// The early end of an environment of the function.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{cause} (environment {environment})")]
pub struct FunctionExit {
    /// Number of the environment.
    pub environment: EnvironmentId,
    /// Cause of the end.
    pub cause: EarlyExitCause,
    /// The last lines that this environment wrote, indented.
    pub output: String,
}
