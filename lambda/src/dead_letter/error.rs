//! The errors of the dead-letter queue. No error contains a body or the value of an attribute.

use baton_sqs::{InvalidQueueUrl, QueueSendError};

/// A dead-letter queue that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDeadLetterQueue {
    /// The text is not the URL of a queue.
    #[error("not a queue URL: {reason}")]
    Url {
        /// The rule that the text breaks.
        reason: &'static str,
    },
    /// The environment does not name the region of the queue.
    #[error("no AWS region: AWS_REGION, which Lambda sets, is not set")]
    NoRegion,
}

impl From<InvalidQueueUrl> for InvalidDeadLetterQueue {
    fn from(error: InvalidQueueUrl) -> Self {
        Self::Url {
            reason: error.reason(),
        }
    }
}

/// A message that the dead-letter queue did not confirm as accepted. It must stay in its queue.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeadLetterError {
    /// The record lacks a field that every message from SQS has, so it was not sent.
    #[error("the record is not a valid SQS message: {0}")]
    InvalidRecord(&'static str),
    /// The message was not sent, or SQS did not confirm it.
    #[error(transparent)]
    Send(#[from] QueueSendError),
}
