//! What can go wrong: when the function is set up, and when it is invoked.

use std::{io, path::PathBuf, time::Duration};

use bytes::Bytes;

use super::runtime_api::FunctionError;

/// Why a function cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The binary cannot be looked at, most often because it does not exist.
    #[error("cannot read the function's binary {}", path.display())]
    Binary {
        /// The path as given.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The path names something that cannot be executed.
    #[error("the function's binary {} is not an executable file", path.display())]
    NotExecutable {
        /// The path as given.
        path: PathBuf,
    },
    /// A variable that Lambda sets itself, and whose change would cut the environment off.
    #[error("the function's variable {name} is reserved: lambda sets it itself")]
    ReservedVariable {
        /// Name of the variable.
        name: String,
    },
    /// A timeout that AWS does not accept either.
    #[error("the function's timeout of {timeout:?} is not between 1 ms and {}", seconds(*limit))]
    Timeout {
        /// The timeout as given.
        timeout: Duration,
        /// The longest one.
        limit: Duration,
    },
}

/// Why an invocation has no response.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// The function reported an error through the Runtime API.
    #[error("function failed with {error_type}: {message}")]
    Function {
        /// What the function called it.
        error_type: String,
        /// The function's own words.
        message: String,
        /// The error document exactly as the function sent it.
        payload: Bytes,
    },
    /// The function overran its timeout and its environment was killed.
    #[error("RequestId: {request_id} Error: Task timed out after {:.2} seconds", after.as_secs_f64())]
    TimedOut {
        /// The invocation.
        request_id: String,
        /// The function's timeout.
        after: Duration,
    },
    /// The process ended while it had the event.
    #[error("RequestId: {request_id} Error: {reason}")]
    Exited {
        /// The invocation.
        request_id: String,
        /// How the process ended.
        reason: String,
    },
    /// The process could not be started, ended, or reported an error before it asked for its first
    /// event.
    #[error("environment failed to initialise with {error_type}: {message}")]
    Init {
        /// What the function called it, or Lambda's name for it.
        error_type: String,
        /// Details.
        message: String,
    },
    /// The process did not ask for its first event in time.
    #[error("environment did not initialise within {}", seconds(*after))]
    InitTimedOut {
        /// The limit on the initialisation.
        after: Duration,
    },
    /// Every environment that may exist is busy.
    #[error("rate exceeded: all {max_concurrency} environments are busy")]
    Throttled {
        /// The function's limit.
        max_concurrency: usize,
    },
    /// The event is larger than a synchronous invocation may carry.
    #[error("event of {bytes} bytes is larger than the {limit} that an invocation may carry")]
    PayloadTooLarge {
        /// Size of the event.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The environments are shut down.
    #[error("the execution environments are shut down")]
    ShutDown,
}

impl InvokeError {
    /// The error type as Lambda names it in the document that `Invoke` returns.
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

    /// The document that `Invoke` returns for this error: the function's own, or one made from type
    /// and message.
    pub fn payload(&self) -> Bytes {
        match self {
            Self::Function { payload, .. } => payload.clone(),
            other => {
                let document = serde_json::json!({ "errorType": other.error_type(), "errorMessage": other.to_string() });
                Bytes::from(document.to_string())
            }
        }
    }

    /// Whether the event never reached a handler, so that inviting more work at once would only
    /// fail the same way.
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
