//! The errors of calls to SQS.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
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
#[derive(Debug, Clone, thiserror::Error)]
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
    /// SQS accepted the message, but the digest of the body that it received is not that of the
    /// body that was sent.
    #[error("the MD5 of message {message_id} at SQS differs from that of the sent body")]
    DigestMismatch {
        /// The id that SQS gave the message.
        message_id: String,
    },
    /// The message was not confirmed before its deadline. Every attempt until then failed for a
    /// reason that may be temporary, or the message waited in the buffer.
    #[error("SQS did not confirm the message within {} ms", timeout.as_millis())]
    DeadlineExceeded {
        /// The time that the message had.
        timeout: Duration,
        /// `true` if an attempt got no response, so that SQS may have accepted the message.
        may_have_been_sent: bool,
        /// The error of the last attempt. `None` if no attempt has ended.
        source: Option<QueueError>,
    },
    /// An attempt got no response, so that SQS may have accepted the message, and the message is
    /// not sent again.
    #[error("the message may have been sent: an attempt got no response")]
    ResponseLost {
        /// The reason why the message is not sent again: the error of a later attempt, a closed
        /// sender, or a stopped runtime.
        source: Box<QueueSendError>,
    },
    /// The sender's buffer has no room for the message, so it was not sent.
    #[error("the buffer of the sender is full: {messages} messages, {bytes} bytes in total")]
    BufferFull {
        /// Number of messages in the buffer.
        messages: usize,
        /// Total size of these messages in bytes.
        bytes: usize,
    },
    /// The sender was closed before the message was sent.
    #[error("the sender is closed")]
    Closed,
    /// The message was not sent, because no tokio runtime was running, or it stopped before.
    #[error("no tokio runtime is running for the sender")]
    NoRuntime,
}

/// Error of a call to SQS: SQS rejected it or did not respond, or the request could not be built.
#[derive(Debug, Clone, thiserror::Error)]
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
    /// SQS accepted the call, but not this message of it.
    #[error("SQS rejected the message: {code} (request {})", request_id.as_deref().unwrap_or("unknown"))]
    RejectedEntry {
        /// AWS's error code.
        code: String,
        /// `true` if the message is at fault, `false` if SQS is.
        is_sender_fault: bool,
        /// The id of the call's request, which AWS support asks for.
        request_id: Option<String>,
    },
    /// SQS accepted the call, but its response does not mention this message.
    #[error("the response of SQS does not mention the message (request {})", request_id.as_deref().unwrap_or("unknown"))]
    UnmentionedEntry {
        /// The id of the call's request, which AWS support asks for.
        request_id: Option<String>,
    },
    /// The SDK could not build the request, so nothing was sent. The program or its configuration
    /// is at fault.
    #[error("the request to SQS could not be built")]
    Unbuildable {
        /// The SDK's error. Clones share it.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// No usable response arrived, after all retries.
    #[error("no usable response from SQS: {error_type}")]
    NoResponse {
        /// `connect` (no connection was established), `io` (the connection broke), `timeout`,
        /// `invalid_response` or `_OTHER`.
        error_type: &'static str,
        /// The SDK's error. Clones share it.
        source: Arc<dyn Error + Send + Sync>,
    },
}

impl QueueSendError {
    /// The `error.type` of this error: AWS's error code, if SQS responded with one.
    #[must_use]
    pub fn error_type(&self) -> &str {
        match self {
            Self::Invalid(_) => error_type::INVALID_MESSAGE,
            Self::Queue(error)
            | Self::TooLarge { source: error, .. }
            | Self::DeadlineExceeded {
                source: Some(error),
                ..
            } => error.error_type(),
            Self::DeadlineExceeded { source: None, .. } => error_type::TIMEOUT,
            Self::ResponseLost { source } => source.error_type(),
            Self::NoMessageId => error_type::INVALID_RESPONSE,
            Self::DigestMismatch { .. } => error_type::DIGEST_MISMATCH,
            Self::BufferFull { .. } => error_type::BUFFER_FULL,
            Self::Closed => error_type::CLOSED,
            Self::NoRuntime => error_type::NO_RUNTIME,
        }
    }

    /// Returns `true` if sending the same message again may succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Invalid(_) | Self::TooLarge { .. } => false,
            Self::Queue(error) => error.is_retryable(),
            Self::ResponseLost { source } => source.is_retryable(),
            Self::NoMessageId
            | Self::DigestMismatch { .. }
            | Self::DeadlineExceeded { .. }
            | Self::BufferFull { .. } => true,
            Self::Closed | Self::NoRuntime => false,
        }
    }

    /// Returns `true` if SQS may have accepted the message although the send failed. Sending it
    /// again may then deliver it twice, except with the same deduplication id on a FIFO queue.
    #[must_use]
    pub fn may_have_been_sent(&self) -> bool {
        match self {
            Self::Queue(error) => error.may_have_been_sent(),
            Self::NoMessageId | Self::DigestMismatch { .. } | Self::ResponseLost { .. } => true,
            Self::DeadlineExceeded {
                may_have_been_sent, ..
            } => *may_have_been_sent,
            Self::Invalid(_)
            | Self::TooLarge { .. }
            | Self::BufferFull { .. }
            | Self::Closed
            | Self::NoRuntime => false,
        }
    }

    /// The id of the rejected request, if AWS stated it.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Queue(error)
            | Self::TooLarge { source: error, .. }
            | Self::DeadlineExceeded {
                source: Some(error),
                ..
            } => error.request_id(),
            Self::ResponseLost { source } => source.request_id(),
            _ => None,
        }
    }

    /// Converts the error of the last call for a message of this size.
    pub(crate) fn from_call(error: SdkError<SendMessageError>, size: usize) -> Self {
        let rejection = Rejection::from_error(&error);
        Self::from_rejection(error.into(), rejection, size)
    }

    /// Converts the error of the last attempt to send a message of this size. `rejection` is the
    /// rejection that `source` reports, if the content of the message caused it.
    pub(crate) fn from_rejection(
        source: QueueError,
        rejection: Option<Rejection>,
        size: usize,
    ) -> Self {
        let limit = rejection.and_then(|rejection| rejection.limit);
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
            Self::Rejected { code, .. } | Self::RejectedEntry { code, .. } => code,
            Self::UnmentionedEntry { .. } => error_type::INVALID_RESPONSE,
            Self::Unbuildable { .. } => error_type::UNBUILDABLE,
            Self::NoResponse { error_type, .. } => error_type,
        }
    }

    /// The id of the request, if AWS stated it.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Rejected { request_id, .. }
            | Self::RejectedEntry { request_id, .. }
            | Self::UnmentionedEntry { request_id } => request_id.as_deref(),
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
            Self::RejectedEntry {
                code,
                is_sender_fault,
                ..
            } => !is_sender_fault || THROTTLING_CODES.contains(&code.as_str()),
            Self::Unbuildable { .. } => false,
            Self::NoResponse { .. } | Self::UnmentionedEntry { .. } => true,
        }
    }

    /// Returns `true` if SQS may have done what the call asked for: it failed after it had read the
    /// request, or its response was lost.
    #[must_use]
    pub fn may_have_been_sent(&self) -> bool {
        match self {
            Self::Rejected { status, .. } => *status >= FIRST_SERVER_ERROR,
            Self::NoResponse { error_type, .. } => *error_type != error_type::CONNECT,
            Self::UnmentionedEntry { .. } => true,
            Self::RejectedEntry { .. } | Self::Unbuildable { .. } => false,
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
                source: Arc::new(error),
            },
            error_type => Self::NoResponse {
                error_type: error_type.unwrap_or(error_type::OTHER),
                source: Arc::new(error),
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
