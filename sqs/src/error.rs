//! The errors of calls to SQS.

use std::error::Error;

use aws_sdk_sqs::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::RequestId as _;
use aws_sdk_sqs::operation::send_message::SendMessageError;

use crate::error_type;
use crate::message::InvalidMessage;
use crate::rejection::Rejection;

/// Error codes of throttled calls. Most of them have HTTP status 400, which alone does not show
/// that the call may succeed later.
const THROTTLING_CODES: [&str; 6] = [
    "RequestThrottled",
    "RequestThrottledException",
    "Throttling",
    "ThrottlingException",
    "KmsThrottled",
    "OverLimit",
];

/// The lowest HTTP status of a server error, which may be temporary.
const FIRST_SERVER_ERROR: u16 = 500;

/// Error of a send that SQS did not confirm.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueSendError {
    /// SQS would reject the message, so it was not sent.
    #[error("invalid SQS message")]
    Invalid(#[from] InvalidMessage),
    /// SQS rejected the call or did not respond to it.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// SQS rejected the message because it is larger than the queue accepts, even without the trace
    /// context.
    #[error("the message has {size} bytes, more than the {limit} that the queue accepts")]
    TooLarge {
        /// Size of the body and of the name, type and value of each attribute that the caller set.
        size: usize,
        /// The queue's `MaximumMessageSize`, as SQS stated it.
        limit: usize,
        /// The rejection.
        source: QueueError,
    },
    /// SQS accepted the message, but its response does not contain the message's id.
    #[error("SQS responded without a message id")]
    NoMessageId,
}

/// Error of a call to SQS: SQS rejected it or did not respond, or the request could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// SQS responded with an error.
    #[error("SQS rejected the call: {code} (HTTP {status}, request {})", request_id.as_deref().unwrap_or("unknown"))]
    Rejected {
        /// AWS's error code.
        code: String,
        /// HTTP status of the response.
        status: u16,
        /// The request id, which AWS support asks for.
        request_id: Option<String>,
    },
    /// The SDK could not build the request, so nothing was sent. The program or its configuration
    /// is at fault.
    #[error("the request to SQS could not be built")]
    Unbuildable {
        /// The SDK's error.
        source: BoxError,
    },
    /// No usable response arrived, after all retries.
    #[error("no usable response from SQS: {error_type}")]
    NoResponse {
        /// `connect` (no connection was established), `io` (the connection broke), `timeout`,
        /// `invalid_response` or `_OTHER`.
        error_type: &'static str,
        /// The SDK's error.
        source: BoxError,
    },
}

impl QueueSendError {
    /// The `error.type` of this error: AWS's error code, if SQS responded with one.
    #[must_use]
    pub fn error_type(&self) -> &str {
        match self {
            Self::Invalid(_) => error_type::INVALID_MESSAGE,
            Self::Queue(error) | Self::TooLarge { source: error, .. } => error.error_type(),
            Self::NoMessageId => error_type::INVALID_RESPONSE,
        }
    }

    /// Returns `true` if sending the same message again may succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Invalid(_) | Self::TooLarge { .. } => false,
            Self::Queue(error) => error.is_retryable(),
            Self::NoMessageId => true,
        }
    }

    /// The id of the rejected request, if AWS stated it.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Queue(error) | Self::TooLarge { source: error, .. } => error.request_id(),
            Self::Invalid(_) | Self::NoMessageId => None,
        }
    }

    /// Converts the error of the last call for a message of this size.
    pub(crate) fn from_call(error: SdkError<SendMessageError>, size: usize) -> Self {
        let limit = Rejection::from_error(&error).and_then(|rejection| rejection.limit);
        let source = QueueError::from(error);
        match limit.filter(|limit| *limit < size) {
            Some(limit) => Self::TooLarge {
                size,
                limit,
                source,
            },
            None => Self::Queue(source),
        }
    }
}

impl QueueError {
    /// The `error.type` of this error: AWS's error code, if SQS responded with one.
    #[must_use]
    pub fn error_type(&self) -> &str {
        match self {
            Self::Rejected { code, .. } => code,
            Self::Unbuildable { .. } => error_type::UNBUILDABLE,
            Self::NoResponse { error_type, .. } => error_type,
        }
    }

    fn request_id(&self) -> Option<&str> {
        match self {
            Self::Rejected { request_id, .. } => request_id.as_deref(),
            Self::Unbuildable { .. } | Self::NoResponse { .. } => None,
        }
    }

    /// Returns `true` if the same call may succeed later: AWS throttled it, failed, or was not
    /// reachable.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Rejected { code, status, .. } => {
                *status >= FIRST_SERVER_ERROR || THROTTLING_CODES.contains(&code.as_str())
            }
            Self::Unbuildable { .. } => false,
            Self::NoResponse { .. } => true,
        }
    }
}

impl<E> From<SdkError<E>> for QueueError
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        if let SdkError::ServiceError(rejection) = &error {
            return Self::Rejected {
                code: error.code().unwrap_or(error_type::OTHER).to_owned(),
                status: rejection.raw().status().as_u16(),
                request_id: error.request_id().map(str::to_owned),
            };
        }
        match error_type::classify(&error) {
            Some(error_type::UNBUILDABLE) => Self::Unbuildable {
                source: error.into(),
            },
            error_type => Self::NoResponse {
                error_type: error_type.unwrap_or(error_type::OTHER),
                source: error.into(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::error::BuildError;

    use super::*;

    #[test]
    fn a_request_that_cannot_be_built_is_not_retryable() {
        let source = BuildError::missing_field("data_type", "it is always given");
        let error = QueueSendError::from_call(SdkError::construction_failure(source), 1);
        assert_eq!(
            (error.error_type(), error.is_retryable()),
            ("unbuildable", false)
        );
    }
}
