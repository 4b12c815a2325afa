//! Errors in setting up a function and in invoking it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use super::runtime_api::FunctionError;

/// Error in setting up a function.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFunction {
    /// The metadata of the binary cannot be read, most often because the file does not exist.
    #[error("cannot read the function's binary {}", path.display())]
    Binary {
        /// The path.
        path: PathBuf,
        /// Error of the file system.
        source: io::Error,
    },
    /// The path is not an executable file.
    #[error("the function's binary {} is not an executable file", path.display())]
    NotExecutable {
        /// The path.
        path: PathBuf,
    },
    /// The function has a variable that Lambda sets itself. A different value would disconnect the
    /// environment from its Runtime API.
    #[error("variable {name} is reserved: Lambda sets it")]
    ReservedVariable {
        /// Name of the variable.
        name: String,
    },
    /// The timeout is not in the range that AWS accepts.
    #[error("the function's timeout of {timeout:?} is not between 1 ms and {}", seconds(*limit))]
    Timeout {
        /// The timeout.
        timeout: Duration,
        /// The longest timeout.
        limit: Duration,
    },
}

/// Error of an invocation.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// The function reported an error through the Runtime API.
    #[error("function failed with {error_type}: {message}")]
    Function {
        /// Type of the error.
        error_type: String,
        /// Message of the error.
        message: String,
        /// The error document exactly as the function sent it.
        payload: Bytes,
    },
    /// The invocation timed out and its environment was killed.
    #[error("RequestId: {request_id} Error: Task timed out after {:.2} seconds", after.as_secs_f64())]
    TimedOut {
        /// Request id of the invocation.
        request_id: String,
        /// The function's timeout.
        after: Duration,
    },
    /// The process exited during the invocation.
    #[error("RequestId: {request_id} Error: {reason}")]
    Exited {
        /// Request id of the invocation.
        request_id: String,
        /// Exit status of the process, in Lambda's words.
        reason: String,
    },
    /// The process could not be started, or it exited or reported an error before it polled for its
    /// first event.
    #[error("init failed with {error_type}: {message}")]
    Init {
        /// Type of the error: the function's own, or Lambda's.
        error_type: String,
        /// Message of the error.
        message: String,
    },
    /// The process did not poll for its first event in time.
    #[error("timed out after {} waiting for the environment to initialise", seconds(*after))]
    InitTimedOut {
        /// The time limit.
        after: Duration,
    },
    /// All environments are busy, and the function's limit does not allow another one.
    #[error("rate exceeded: all {max_concurrency} environments are busy")]
    Throttled {
        /// The function's maximum concurrency.
        max_concurrency: usize,
    },
    /// The event is larger than the payload limit of a synchronous invocation.
    #[error("event of {bytes} bytes exceeds the limit of {limit} bytes for an invocation")]
    PayloadTooLarge {
        /// Size of the event.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The function was shut down.
    #[error("the execution environments are shut down")]
    ShutDown,
}

impl InvokeError {
    /// Returns the error type, as in the document that `Invoke` returns.
    pub fn error_type(&self) -> &str {
        match self {
            Self::Function { error_type, .. } | Self::Init { error_type, .. } => error_type,
            Self::TimedOut { .. } | Self::InitTimedOut { .. } => "Sandbox.Timedout",
            Self::Exited { .. } => "Runtime.ExitError",
            Self::Throttled { .. } => "TooManyRequestsException",
            Self::PayloadTooLarge { .. } => "RequestTooLargeException",
            Self::ShutDown => "ServiceException",
        }
    }

    /// Returns the document that `Invoke` returns for this error: the one that the function sent,
    /// or one built from type and message.
    pub fn payload(&self) -> Bytes {
        match self {
            Self::Function { payload, .. } => payload.clone(),
            other => {
                let document = serde_json::json!({ "errorType": other.error_type(), "errorMessage": other.to_string() });
                Bytes::from(document.to_string())
            }
        }
    }

    /// Returns true if the event did not reach a handler. Another invocation would most likely fail
    /// in the same way, so the caller should pause.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Init { .. }
            | Self::InitTimedOut { .. }
            | Self::Throttled { .. }
            | Self::ShutDown => true,
            Self::Function { .. }
            | Self::TimedOut { .. }
            | Self::Exited { .. }
            | Self::PayloadTooLarge { .. } => false,
        }
    }
}

impl From<FunctionError> for InvokeError {
    fn from(error: FunctionError) -> Self {
        let FunctionError {
            error_type,
            message,
            payload,
        } = error;
        Self::Function {
            error_type,
            message,
            payload,
        }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} seconds", duration.as_secs_f64())
}
