//! The decision about a message after a call: confirm it, send it again, or give up.

use std::time::Duration;

use tokio::time::Instant;

use super::backoff;
use super::call::{EntryFailure, EntryResult};
use super::entry::{Confirmation, Entry};
use crate::error::{QueueError, QueueSendError};

/// Time before the deadline of a message after which it is not sent again: a call takes 10 to 20
/// ms.
const MIN_TIME_FOR_ATTEMPT: Duration = Duration::from_millis(50);

/// The decision about one message.
#[derive(Debug)]
pub(super) enum Settlement {
    /// The send is over.
    Finish(Result<Confirmation, QueueSendError>),
    /// Send the message again at once: SQS may accept it with fewer attributes, or alone.
    Readmit,
    /// Send the message again after this pause.
    Delay(Duration),
}

impl Settlement {
    /// Returns the decision about a message whose call was given up because the sender closes.
    pub(super) fn aborted() -> Self {
        Self::Finish(Err(QueueSendError::ResponseLost {
            source: Box::new(QueueSendError::Closed),
        }))
    }
}

/// Parameters of the decisions about the messages of one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct SettlementRules {
    pub(super) now: Instant,
    pub(super) delivery_timeout: Duration,
    /// Number of messages of the call.
    pub(super) batch_len: usize,
    /// `false` once the sender is closed: a message is then sent at most once more.
    pub(super) may_retry: bool,
    /// A random number from 0 to 1. It is the same for all messages of the call, so that they are
    /// sent again together.
    pub(super) jitter: f64,
}

impl SettlementRules {
    /// Decides about a message.
    pub(super) fn settle(&self, entry: &mut Entry, result: EntryResult) -> Settlement {
        let failure = match result {
            EntryResult::Accepted(outcome) => {
                return Settlement::Finish(outcome);
            }
            EntryResult::Failed(failure) => failure,
        };
        let may_have_been_sent = entry.had_no_response || failure.error.may_have_been_sent();
        entry
            .progress
            .end_call(may_have_been_sent, Some(failure.error.clone()));
        if self.adapt_to_rejection(entry, &failure) {
            return Settlement::Readmit;
        }
        if !failure.error.is_retryable() {
            let error =
                QueueSendError::from_rejection(failure.error, failure.rejection, entry.size);
            return Settlement::Finish(Err(with_lost_response(error, entry.had_no_response)));
        }
        if !self.may_retry {
            let error = QueueSendError::Queue(failure.error);
            return Settlement::Finish(Err(with_lost_response(error, entry.had_no_response)));
        }
        let left = entry.deadline.saturating_duration_since(self.now);
        if left < MIN_TIME_FOR_ATTEMPT {
            return Settlement::Finish(Err(self.give_up(failure.error, may_have_been_sent)));
        }
        entry.attempts += 1;
        Settlement::Delay(backoff::pause(entry.attempts, self.jitter).min(left / 2))
    }

    /// Changes a message that SQS rejected because of its content, so that SQS may accept it.
    /// Returns `false` if that is not possible.
    fn adapt_to_rejection(&self, entry: &mut Entry, failure: &EntryFailure) -> bool {
        let Some(rejection) = failure.rejection else {
            return false;
        };
        if failure.is_whole_call && self.batch_len > 1 {
            entry.is_alone = true;
            return true;
        }
        entry.traced.added.drop_after(rejection, entry.size)
    }

    fn give_up(&self, error: QueueError, may_have_been_sent: bool) -> QueueSendError {
        QueueSendError::DeadlineExceeded {
            timeout: self.delivery_timeout,
            may_have_been_sent,
            source: Some(error),
        }
    }
}

fn with_lost_response(error: QueueSendError, had_no_response: bool) -> QueueSendError {
    if had_no_response && !error.may_have_been_sent() {
        let source = Box::new(error);
        QueueSendError::ResponseLost { source }
    } else {
        error
    }
}
