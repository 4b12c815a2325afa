//! The wait until all messages of a run have left the queue.

use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use http::Uri;
use tokio::time::sleep;

use super::check::{CheckResult, MessageCounts};
use super::queues::{self, QueueError, QueueLengths};
use crate::stack::Stack;

/// Interval in which the messages are counted.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Time for which the counts of AWS must not change before they are final. SQS states that its
/// approximate numbers are correct a minute after the last message was sent.
const AWS_CONFIRMATION: Duration = Duration::from_secs(60);

/// Counts the messages for the check.
#[derive(Debug)]
pub(crate) struct MessageCounter<'a> {
    client: Client,
    queue: String,
    dead_letter_queue: Option<String>,
    /// The stack whose event source mapping counts the processed messages.
    stack: Option<&'a Stack>,
    confirmation: Duration,
}

impl<'a> MessageCounter<'a> {
    /// Creates a counter of the messages of a stack.
    pub(crate) fn from_stack(stack: &'a Stack) -> Self {
        let endpoints = stack.endpoints();
        Self {
            client: stack.sqs().clone(),
            queue: endpoints.queue.clone(),
            dead_letter_queue: Some(endpoints.dead_letter_queue.clone()),
            stack: Some(stack),
            confirmation: Duration::ZERO,
        }
    }

    /// Creates a counter of the messages in queues.
    pub(crate) async fn from_queues(queue: &Uri, dead_letter_queue: Option<&Uri>) -> Self {
        let is_exact = queues::is_loopback(queue);
        Self {
            client: queues::client(queue).await,
            queue: queue.to_string(),
            dead_letter_queue: dead_letter_queue.map(Uri::to_string),
            stack: None,
            confirmation: if is_exact {
                Duration::ZERO
            } else {
                AWS_CONFIRMATION
            },
        }
    }

    /// Counts the messages.
    pub(crate) async fn count(&self) -> Result<MessageCounts, QueueError> {
        let queue = QueueLengths::read(&self.client, &self.queue).await?;
        let dead_letters = match &self.dead_letter_queue {
            Some(url) => Some(QueueLengths::read(&self.client, url).await?),
            None => None,
        };
        let processed = self.stack.map(|stack| stack.mapping_stats().deleted);
        Ok(MessageCounts {
            processed,
            ..MessageCounts::new(queue, dead_letters)
        })
    }

    /// Waits until every accepted message was processed or dead-lettered, or nothing has changed
    /// for `max_unchanged`.
    pub(crate) async fn settle(
        &self,
        before: MessageCounts,
        accepted: u64,
        max_unchanged: Duration,
    ) -> Result<CheckResult, QueueError> {
        let mut last = None;
        let mut changed = Instant::now();
        loop {
            let result = CheckResult::new(before, self.count().await?, accepted);
            if last != Some(result) {
                changed = Instant::now();
                last = Some(result);
            }
            let unchanged = changed.elapsed();
            let is_final = result.is_complete() && unchanged >= self.confirmation;
            if is_final || unchanged >= max_unchanged.max(self.confirmation) {
                return Ok(result);
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}
