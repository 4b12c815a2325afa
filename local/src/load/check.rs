//! The check that every accepted message was processed or dead-lettered.

/// Source of the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckSource {
    /// The local stack that this run has started, whose event source mapping counts the messages
    /// that it deletes.
    OwnStack,
    /// The lengths of the queue and, if it is given, the dead-letter queue. SQS states them
    /// approximately.
    Queues,
    /// The customers in the function's table, and the lengths of the queues that are given.
    #[cfg(feature = "dynamodb")]
    Table,
}

/// Numbers of messages before or after a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MessageCounts {
    /// Messages in the queue, visible, in flight or delayed, if its URL is known.
    pub(crate) queued: Option<u64>,
    /// Messages in the dead-letter queue, if its URL is known.
    pub(crate) dead_lettered: Option<u64>,
    /// Messages that the function has processed, if they are counted.
    pub(crate) processed: Option<u64>,
}

/// Messages that the service has accepted in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AcceptedMessages {
    pub(crate) total: u64,
    /// Messages that the function always rejects.
    pub(crate) poison: u64,
}

/// The numbers of messages that the check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CheckedCounts {
    pub(crate) source: CheckSource,
    /// Messages that the function has processed: the number that the stack or the table states, or
    /// else the accepted messages that are neither queued nor dead-lettered.
    pub(crate) processed: u64,
    /// Messages that were sent to the dead-letter queue, if its URL is known.
    pub(crate) dead_lettered: Option<u64>,
    /// Messages that are still in the queue, if its URL is known.
    pub(crate) queued: Option<u64>,
    /// Messages of poison customers that may have been dead-lettered, because the URL of the
    /// dead-letter queue is not known.
    pub(crate) unverified_poison: u64,
    /// All other accepted messages that are neither processed nor dead-lettered, such as those in
    /// the queue.
    pub(crate) unaccounted: u64,
}

/// Result of the check, or the reason why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CheckOutcome {
    Known(CheckedCounts),
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

impl CheckedCounts {
    /// Compares the counts before and after a run with the number of accepted requests.
    pub(crate) fn new(
        source: CheckSource,
        before: MessageCounts,
        after: MessageCounts,
        accepted: AcceptedMessages,
    ) -> Self {
        let queued = difference(before.queued, after.queued);
        let dead_lettered = difference(before.dead_lettered, after.dead_lettered);
        let in_queues = queued.unwrap_or(0) + dead_lettered.unwrap_or(0);
        // A message leaves the queue only if it is deleted, which the event source mapping does
        // after its success, or sent to the dead-letter queue.
        let counted = difference(before.processed, after.processed);
        let processed = counted.unwrap_or(accepted.total.saturating_sub(in_queues));
        let unprocessed = accepted.total.saturating_sub(processed);
        let unverified_poison = match (counted, dead_lettered) {
            (Some(_), None) => accepted.poison.min(unprocessed),
            _ => 0,
        };
        let missing = unprocessed.saturating_sub(dead_lettered.unwrap_or(0) + unverified_poison);
        // A message in the queue may belong to a request without a response. It cannot be
        // distinguished, and is not processed either.
        let unaccounted = missing.max(queued.unwrap_or(0));
        Self {
            source,
            processed,
            dead_lettered,
            queued,
            unverified_poison,
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

    const ACCEPTED: AcceptedMessages = AcceptedMessages {
        total: 10,
        poison: 2,
    };

    fn counts(queued: u64, dead_lettered: u64, processed: Option<u64>) -> MessageCounts {
        MessageCounts {
            queued: Some(queued),
            dead_lettered: Some(dead_lettered),
            processed,
        }
    }

    fn own_stack(queued: u64, dead_lettered: u64, processed: u64) -> CheckedCounts {
        let after = counts(queued, dead_lettered, Some(processed));
        CheckedCounts::new(
            CheckSource::OwnStack,
            counts(0, 0, Some(0)),
            after,
            ACCEPTED,
        )
    }

    fn queues(before: MessageCounts, after: MessageCounts) -> CheckedCounts {
        CheckedCounts::new(CheckSource::Queues, before, after, ACCEPTED)
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
        let result = queues(before, counts(5, 102, None));
        assert!(result.is_complete());
        assert_eq!((result.processed, result.dead_lettered), (8, Some(2)));
        let result = queues(before, counts(8, 102, None));
        assert_eq!((result.processed, result.unaccounted), (5, 3));
        // Messages from before the run were processed too.
        assert!(queues(before, counts(0, 100, None)).is_complete());
    }

    #[test]
    fn without_a_dead_letter_queue_only_their_sum_is_known() {
        let empty = MessageCounts {
            queued: Some(0),
            ..MessageCounts::default()
        };
        let result = queues(empty, empty);
        assert!(result.is_complete());
        assert_eq!((result.processed, result.dead_lettered), (10, None));
        assert_eq!(result.unverified_poison, 0);
    }

    #[cfg(feature = "dynamodb")]
    #[test]
    fn a_table_accounts_for_all_but_poison_customers() {
        let table = |processed, dead_lettered, queued| {
            let after = MessageCounts {
                queued,
                dead_lettered,
                processed: Some(processed),
            };
            CheckedCounts::new(
                CheckSource::Table,
                MessageCounts::default(),
                after,
                ACCEPTED,
            )
        };
        let result = table(8, None, None);
        assert!(result.is_complete());
        assert_eq!((result.processed, result.unverified_poison), (8, 2));
        assert_eq!(table(7, None, None).unaccounted, 1);
        assert_eq!(table(10, None, None).unverified_poison, 0);
        // Poison customers may still be in the queue.
        assert_eq!(table(8, None, Some(2)).unaccounted, 2);
        let result = table(8, Some(1), Some(0));
        assert_eq!((result.unverified_poison, result.unaccounted), (0, 1));
        assert!(table(8, Some(2), Some(0)).is_complete());
    }
}
