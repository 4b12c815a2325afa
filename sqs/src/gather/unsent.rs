//! A message that a closed sender has not sent.

use crate::error::QueueSendError;
use crate::message::OutgoingMessage;

/// A message that was in the buffer of a sender when it was closed, and that SQS has not confirmed.
///
/// Its send has failed with the same error.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UnsentMessage {
    /// The message.
    pub message: OutgoingMessage,
    /// The reason. [`QueueSendError::may_have_been_sent`] is `true` if SQS may have the message.
    pub error: QueueSendError,
}
