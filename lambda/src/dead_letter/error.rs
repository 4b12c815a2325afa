//! What can go wrong on the way to the dead-letter queue. No error shows a body or the value of an
//! attribute.

use std::error::Error;

use aws_sdk_sqs::error::{BuildError, ConnectorError, ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::RequestId as _;
use aws_sdk_sqs::operation::send_message::SendMessageError;
use baton_sqs::{InvalidQueueUrl, NotSent};

/// `error.type` where SQS gave no code.
const TYPE_UNSENDABLE: &str = "unsendable";
const TYPE_INVALID_RESPONSE: &str = "invalid_response";
const TYPE_IO: &str = "io";
const TYPE_TIMEOUT: &str = "timeout";
const TYPE_OTHER: &str = "_OTHER";

/// A dead-letter queue that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDeadLetterQueue {
    /// The text is not the URL of a queue.
    #[error("not a queue URL: {reason}")]
    Url {
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The environment does not say in which region the queue is.
    #[error("no region is known: AWS_REGION, which Lambda sets, is not set")]
    NoRegion,
}

impl From<InvalidQueueUrl> for InvalidDeadLetterQueue {
    fn from(error: InvalidQueueUrl) -> Self {
        Self::Url {
            reason: error.reason(),
        }
    }
}

/// A message that the dead-letter queue has not taken, as far as we know: it has to stay where it
/// is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeadLetterError {
    /// It is not a message that SQS can have delivered, so it was not sent.
    #[error("the message cannot be sent on: {0}")]
    Unsendable(&'static str),
    /// SQS answered with an error.
    #[error("SQS refused the message: {code} (HTTP {status}, request {})", request_id.as_deref().unwrap_or("unknown"))]
    Refused {
        code: String,
        status: u16,
        request_id: Option<String>,
    },
    /// The message is larger than the queue accepts, even without added attributes.
    #[error("the message has {size} bytes, more than the {limit} that the queue accepts")]
    TooLarge {
        size: usize,
        limit: usize,
        source: Box<DeadLetterError>,
    },
    /// No usable answer came, after all attempts: it may have been sent.
    #[error("no answer from SQS: {error_type}")]
    NoAnswer {
        error_type: &'static str,
        source: Box<dyn Error + Send + Sync>,
    },
}

impl DeadLetterError {
    /// The stable name under which telemetry knows this error: SQS's code where there is one.
    pub(crate) fn error_type(&self) -> &str {
        match self {
            Self::Unsendable(_) => TYPE_UNSENDABLE,
            Self::Refused { code, .. } => code,
            Self::TooLarge { source, .. } => source.error_type(),
            Self::NoAnswer { error_type, .. } => error_type,
        }
    }

    pub(super) fn request_id(&self) -> Option<&str> {
        match self {
            Self::Refused { request_id, .. } => request_id.as_deref(),
            Self::TooLarge { source, .. } => source.request_id(),
            Self::Unsendable(_) | Self::NoAnswer { .. } => None,
        }
    }
}

/// A part of the request that lacks a field. None does, and the text that says which is not needed.
impl From<BuildError> for DeadLetterError {
    fn from(_: BuildError) -> Self {
        Self::Unsendable("an attribute lacks its type")
    }
}

impl From<NotSent> for DeadLetterError {
    fn from(error: NotSent) -> Self {
        match error {
            NotSent::TooLarge {
                size,
                limit,
                source,
            } => Self::TooLarge {
                size,
                limit,
                source: Box::new((*source).into()),
            },
            NotSent::Call(error) => (*error).into(),
        }
    }
}

impl From<SdkError<SendMessageError>> for DeadLetterError {
    fn from(error: SdkError<SendMessageError>) -> Self {
        let error_type = match &error {
            SdkError::ServiceError(refusal) => {
                return Self::Refused {
                    code: error.code().unwrap_or(TYPE_OTHER).to_owned(),
                    status: refusal.raw().status().as_u16(),
                    request_id: error.request_id().map(str::to_owned),
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

/// A connection that SQS closed instead of answering is not classified by the SDK, only marked as
/// worth another attempt.
fn connector_error_type(error: &ConnectorError) -> &'static str {
    if error.is_timeout() {
        TYPE_TIMEOUT
    } else if error.is_io() || error.as_other().is_some() {
        TYPE_IO
    } else {
        TYPE_OTHER
    }
}
