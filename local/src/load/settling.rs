//! The wait until all messages of a run have left the queue.

use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use http::Uri;
use tokio::time::sleep;

use super::account::{Account, AccountFigures};
use super::queues::{self, QueueError, QueueLengths};
use crate::stack::Stack;

/// Interval in which the figures are read.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Time for which figures of AWS must not change before they are final. SQS states that its
/// approximate numbers are correct a minute after the last message was sent.
const AWS_CONFIRMATION: Duration = Duration::from_secs(60);

/// Reads the figures of the check.
#[derive(Debug)]
pub(crate) struct AccountReader<'a> {
    client: Client,
    queue: String,
    dead_letter_queue: Option<String>,
    /// The stack whose event source mapping counts the processed messages.
    stack: Option<&'a Stack>,
    confirmation: Duration,
}

impl<'a> AccountReader<'a> {
    /// Creates a reader of the figures of a stack.
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

    /// Creates a reader of the lengths of queues.
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

    /// Reads the current figures.
    pub(crate) async fn read(&self) -> Result<AccountFigures, QueueError> {
        let queue = QueueLengths::read(&self.client, &self.queue).await?;
        let dead_letters = match &self.dead_letter_queue {
            Some(url) => Some(QueueLengths::read(&self.client, url).await?),
            None => None,
        };
        let processed = self.stack.map(|stack| stack.mapping_stats().deleted);
        Ok(AccountFigures {
            processed,
            ..AccountFigures::new(queue, dead_letters)
        })
    }

    /// Waits until every accepted message was processed or dead-lettered, or nothing has changed
    /// for `max_unchanged`.
    pub(crate) async fn settle(
        &self,
        before: AccountFigures,
        accepted: u64,
        max_unchanged: Duration,
    ) -> Result<Account, QueueError> {
        let mut last = None;
        let mut changed = Instant::now();
        loop {
            let account = Account::new(before, self.read().await?, accepted);
            if last != Some(account) {
                changed = Instant::now();
                last = Some(account);
            }
            let unchanged = changed.elapsed();
            let is_final = account.is_complete() && unchanged >= self.confirmation;
            if is_final || unchanged >= max_unchanged.max(self.confirmation) {
                return Ok(account);
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}
