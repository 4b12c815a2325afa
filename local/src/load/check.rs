//! The check that every accepted message was processed or dead-lettered.

use super::queues::QueueLengths;

/// Source of the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckSource {
    /// The local stack that this run has started, whose event source mapping counts the messages
    /// that it deletes.
    OwnStack,
    /// The lengths of the queue and, if it is given, the dead-letter queue. SQS states them
    /// approximately.
    Queues,
}

/// Numbers of messages before or after a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MessageCounts {
    /// Messages in the queue: visible, in flight or delayed.
    pub(crate) queued: u64,
    /// Messages in the dead-letter queue, if its URL is known.
    pub(crate) dead_lettered: Option<u64>,
    /// Messages that the function has processed, if they are counted.
    pub(crate) processed: Option<u64>,
}

/// Result of the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CheckResult {
    pub(crate) source: CheckSource,
    /// Messages that the function has processed: the number that the stack counts, or else the
    /// accepted messages that are neither queued nor dead-lettered.
    pub(crate) processed: u64,
    /// Messages that were sent to the dead-letter queue, if its URL is known.
    pub(crate) dead_lettered: Option<u64>,
    /// Messages that are still in the queue.
    pub(crate) queued: u64,
    /// Accepted messages that are neither processed nor dead-lettered, such as those in the queue.
    pub(crate) unaccounted: u64,
}

/// Result of the check, or the reason why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CheckOutcome {
    Known(CheckResult),
    /// There is nothing to check, or the run was interrupted.
    Unknown(String),
    /// The counts cannot be read.
    Failed(String),
}

impl CheckOutcome {
    /// Returns true unless a message is missing or the check failed.
    pub(crate) fn passed(&self) -> bool {
        match self {
            Self::Known(result) => result.is_complete(),
            Self::Unknown(_) => true,
            Self::Failed(_) => false,
        }
    }
}

impl MessageCounts {
    pub(super) fn new(queue: QueueLengths, dead_letters: Option<QueueLengths>) -> Self {
        Self {
            queued: queue.total(),
            dead_lettered: dead_letters.map(QueueLengths::total),
            processed: None,
        }
    }
}

impl CheckResult {
    /// Compares the counts before and after a run with the number of accepted requests.
    pub(crate) fn new(before: MessageCounts, after: MessageCounts, accepted: u64) -> Self {
        let queued = after.queued.saturating_sub(before.queued);
        let dead_lettered = difference(before.dead_lettered, after.dead_lettered);
        let counted = difference(before.processed, after.processed);
        let left = accepted.saturating_sub(queued + dead_lettered.unwrap_or(0));
        let (source, unaccounted) = match counted {
            Some(processed) => {
                let settled = processed + dead_lettered.unwrap_or(0);
                let missing = accepted.saturating_sub(settled);
                // A message in the queue may belong to a request without a response. It cannot be
                // distinguished, and is not processed either.
                (CheckSource::OwnStack, missing.max(queued))
            }
            // A message leaves the queue only if it is deleted, which the event source mapping does
            // after its success, or sent to the dead-letter queue.
            None => (CheckSource::Queues, queued),
        };
        Self {
            source,
            processed: counted.unwrap_or(left),
            dead_lettered,
            queued,
            unaccounted,
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.unaccounted == 0
    }
}

fn difference(before: Option<u64>, after: Option<u64>) -> Option<u64> {
    Some(after?.saturating_sub(before.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(queued: u64, dead_lettered: u64, processed: Option<u64>) -> MessageCounts {
        MessageCounts {
            queued,
            dead_lettered: Some(dead_lettered),
            processed,
        }
    }

    fn own_stack(queued: u64, dead_lettered: u64, processed: u64) -> CheckResult {
        let before = counts(0, 0, Some(0));
        CheckResult::new(before, counts(queued, dead_lettered, Some(processed)), 10)
    }

    #[test]
    fn the_own_stack_accounts_for_each_message() {
        assert!(own_stack(0, 2, 8).is_complete());
        assert_eq!(own_stack(0, 2, 7).unaccounted, 1);
        assert_eq!(own_stack(3, 0, 7).unaccounted, 3);
        // A request without a response may have been accepted.
        assert!(own_stack(0, 2, 9).is_complete());
        assert_eq!(own_stack(1, 2, 9).unaccounted, 1);
    }

    #[test]
    fn queues_account_for_messages_that_have_left_them() {
        let before = counts(5, 100, None);
        let result = CheckResult::new(before, counts(5, 102, None), 10);
        assert!(result.is_complete());
        assert_eq!((result.processed, result.dead_lettered), (8, Some(2)));
        let result = CheckResult::new(before, counts(8, 102, None), 10);
        assert_eq!((result.processed, result.unaccounted), (5, 3));
        // Messages from before the run were processed too.
        assert!(CheckResult::new(before, counts(0, 100, None), 10).is_complete());
    }

    #[test]
    fn without_a_dead_letter_queue_only_their_sum_is_known() {
        let unknown = |queued| MessageCounts {
            queued,
            ..MessageCounts::default()
        };
        let result = CheckResult::new(unknown(0), unknown(0), 10);
        assert!(result.is_complete());
        assert_eq!((result.processed, result.dead_lettered), (10, None));
    }
}
