//! What can go wrong between us and SQS, and what each case is called in telemetry.

use std::error::Error;

use aws_sdk_sqs::error::{BuildError, ConnectorError, ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::RequestId as _;
use baton_sqs::NotSent;
use hyper_util::client::legacy;

use crate::message::InvalidMessage;

/// `error.type` where AWS gave no code.
const TYPE_INVALID_MESSAGE: &str = "invalid_message";
const TYPE_INVALID_RESPONSE: &str = "invalid_response";
const TYPE_UNBUILDABLE: &str = "unbuildable";
const TYPE_CONNECT: &str = "connect";
const TYPE_IO: &str = "io";
const TYPE_TIMEOUT: &str = "timeout";
const TYPE_OTHER: &str = "_OTHER";

/// Codes with which AWS says "later", whatever the HTTP status.
const THROTTLING_CODES: [&str; 6] = [
    "RequestThrottled",
    "RequestThrottledException",
    "Throttling",
    "ThrottlingException",
    "KmsThrottled",
    "OverLimit",
];

/// From this HTTP status on, the fault is the server's and may pass.
const FIRST_SERVER_ERROR: u16 = 500;

type BoxError = Box<dyn Error + Send + Sync>;

/// A message that SQS has not accepted, as far as we know.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// SQS would refuse the message, so it was not sent.
    #[error("the message breaks a rule of SQS")]
    Invalid(#[from] InvalidMessage),
    /// SQS answered and refused, or there was no answer.
    #[error(transparent)]
    Queue(#[from] QueueUnreachable),
    /// SQS refused the message because it is larger than the queue accepts, even without the trace
    /// context.
    #[error("the message has {size} bytes, more than the {limit} that the queue accepts")]
    TooLarge {
        /// Size of the body and of the name, type and value of each attribute that the caller set.
        size: usize,
        /// The queue's `MaximumMessageSize`, as SQS stated it.
        limit: usize,
        /// The refusal.
        source: QueueUnreachable,
    },
    /// SQS answered that it accepted the message, and did not say under which id.
    #[error("SQS answered without a message id")]
    NoMessageId,
}

/// A call that came to nothing: SQS refused it, did not answer it, or never got it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueUnreachable {
    /// SQS answered with an error.
    #[error("SQS refused the call: {code} (HTTP {status}, request {})", request_id.as_deref().unwrap_or("unknown"))]
    Refused {
        /// AWS's error code.
        code: String,
        /// Status of the answer.
        status: u16,
        /// What AWS's support asks for.
        request_id: Option<String>,
    },
    /// The call could not be put together, so nothing was sent. That is a fault of the program or
    /// its configuration.
    #[error("the call to SQS could not be built")]
    Unbuildable {
        /// What the SDK says.
        source: BoxError,
    },
    /// No usable answer came, after all retries.
    #[error("no answer from SQS: {error_type}")]
    NoAnswer {
        /// `connect` (no connection came about), `io` (it broke), `timeout`, `invalid_response` or
        /// `_OTHER`.
        error_type: &'static str,
        /// What the SDK says.
        source: BoxError,
    },
}

impl SendError {
    /// The stable name under which telemetry knows this error: AWS's code where there is one.
    #[must_use]
    pub fn error_type(&self) -> &str {
        match self {
            Self::Invalid(_) => TYPE_INVALID_MESSAGE,
            Self::Queue(error) | Self::TooLarge { source: error, .. } => error.error_type(),
            Self::NoMessageId => TYPE_INVALID_RESPONSE,
        }
    }

    /// Whether sending the same message again may succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Invalid(_) | Self::TooLarge { .. } => false,
            Self::Queue(error) => error.is_retryable(),
            Self::NoMessageId => true,
        }
    }

    /// The id of the refused request, where AWS gave one.
    pub(crate) fn request_id(&self) -> Option<&str> {
        match self {
            Self::Queue(error) | Self::TooLarge { source: error, .. } => error.request_id(),
            Self::Invalid(_) | Self::NoMessageId => None,
        }
    }

    /// For an SDK type that lacks a field which we always give it.
    pub(super) fn unbuildable(source: BuildError) -> Self {
        Self::Queue(QueueUnreachable::Unbuildable {
            source: source.into(),
        })
    }
}

impl QueueUnreachable {
    /// The stable name under which telemetry knows this error: AWS's code where there is one.
    #[must_use]
    pub fn error_type(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            Self::Unbuildable { .. } => TYPE_UNBUILDABLE,
            Self::NoAnswer { error_type, .. } => error_type,
        }
    }

    fn request_id(&self) -> Option<&str> {
        match self {
            Self::Refused { request_id, .. } => request_id.as_deref(),
            Self::Unbuildable { .. } | Self::NoAnswer { .. } => None,
        }
    }

    /// Whether the same call may succeed later: AWS was busy, at fault, or out of reach.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { code, status, .. } => {
                *status >= FIRST_SERVER_ERROR || THROTTLING_CODES.contains(&code.as_str())
            }
            Self::Unbuildable { .. } => false,
            Self::NoAnswer { .. } => true,
        }
    }
}

impl From<NotSent> for SendError {
    fn from(error: NotSent) -> Self {
        match error {
            NotSent::TooLarge {
                size,
                limit,
                source,
            } => Self::TooLarge {
                size,
                limit,
                source: (*source).into(),
            },
            NotSent::Call(error) => Self::Queue((*error).into()),
        }
    }
}

impl<E> From<SdkError<E>> for QueueUnreachable
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        let error_type = match &error {
            SdkError::ServiceError(refusal) => {
                return Self::Refused {
                    code: error.code().unwrap_or(TYPE_OTHER).to_owned(),
                    status: refusal.raw().status().as_u16(),
                    request_id: error.request_id().map(str::to_owned),
                };
            }
            SdkError::ConstructionFailure(_) => {
                return Self::Unbuildable {
                    source: error.into(),
                };
            }
            SdkError::TimeoutError(_) => TYPE_TIMEOUT,
            SdkError::DispatchFailure(failure) => failure
                .as_connector_error()
                .map_or(TYPE_OTHER, connector_error_type),
            SdkError::ResponseError(_) => TYPE_INVALID_RESPONSE,
            _ => TYPE_OTHER,
        };
        Self::NoAnswer {
            error_type,
            source: error.into(),
        }
    }
}

/// The SDK says "I/O" both of a connection that never came about and of one that broke. One that
/// SQS closed instead of answering it does not classify, and only marks as worth another attempt.
fn connector_error_type(error: &ConnectorError) -> &'static str {
    if error.is_timeout() {
        TYPE_TIMEOUT
    } else if never_connected(error) {
        TYPE_CONNECT
    } else if error.is_io() || error.as_other().is_some() {
        TYPE_IO
    } else {
        TYPE_OTHER
    }
}

/// Whether the SDK's HTTP client, which is hyper-util's, failed before it had a connection. With
/// another client the answer is always no.
fn never_connected(error: &ConnectorError) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(client_error) = error.downcast_ref::<legacy::Error>() {
            return client_error.is_connect();
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_cannot_be_built_is_a_fault_of_ours() {
        let source = BuildError::missing_field("data_type", "it is always given");
        let error = SendError::unbuildable(source);
        assert_eq!(
            (error.error_type(), error.is_retryable()),
            ("unbuildable", false)
        );
    }
}
