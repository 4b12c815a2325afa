//! Counts the messages of a run until all are processed or dead-lettered.

use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use http::Uri;
use tokio::time::sleep;

use super::check::{AcceptedMessages, CheckSource, CheckedCounts, MessageCounts};
use super::queues::{self, QueueError, QueueLengths};
#[cfg(feature = "dynamodb")]
use super::table::{CustomerTable, TableError};
use crate::stack::Stack;

/// Shortest pause between two counts.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Ratio of the pause to the duration of the count before it: the scan of a large table is slow and
/// costs money.
const PAUSE_FACTOR: u32 = 10;
/// Time for which the counts of AWS must not change before they are final. SQS states that its
/// approximate numbers are correct a minute after the last message was sent.
const AWS_CONFIRMATION: Duration = Duration::from_secs(60);

/// Counts the messages for the check.
#[derive(Debug)]
pub(crate) struct MessageCounter<'a> {
    queue: Option<CountedQueue>,
    dead_letter_queue: Option<CountedQueue>,
    processed: ProcessedCounter<'a>,
    confirmation: Duration,
}

/// A queue whose length is read.
#[derive(Debug)]
struct CountedQueue {
    client: Client,
    url: String,
}

/// Counter of the processed messages.
#[derive(Debug)]
enum ProcessedCounter<'a> {
    /// They are not counted.
    None,
    /// The stack whose event source mapping counts them.
    Stack(&'a Stack),
    /// The table in which each of them is an item.
    #[cfg(feature = "dynamodb")]
    Table(CustomerTable),
}

/// Error in counting the messages.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CountError {
    /// The length of a queue cannot be read.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The items of the table cannot be counted.
    #[cfg(feature = "dynamodb")]
    #[error(transparent)]
    Table(#[from] TableError),
}

impl CountedQueue {
    async fn from_url(url: &Uri) -> Self {
        Self {
            client: queues::client(url).await,
            url: url.to_string(),
        }
    }
}

impl<'a> MessageCounter<'a> {
    /// Creates a counter of the messages of a stack.
    pub(crate) fn from_stack(stack: &'a Stack) -> Self {
        let endpoints = stack.endpoints();
        let queue = |url: &str| CountedQueue {
            client: stack.sqs().clone(),
            url: url.to_owned(),
        };
        Self {
            queue: Some(queue(&endpoints.queue)),
            dead_letter_queue: Some(queue(&endpoints.dead_letter_queue)),
            processed: ProcessedCounter::Stack(stack),
            confirmation: Duration::ZERO,
        }
    }

    /// Creates a counter of the messages in queues.
    pub(crate) async fn from_queues(queue: Option<&Uri>, dead_letter_queue: Option<&Uri>) -> Self {
        let mut urls = queue.into_iter().chain(dead_letter_queue);
        let are_exact = urls.all(queues::is_loopback);
        let confirmation = if are_exact {
            Duration::ZERO
        } else {
            AWS_CONFIRMATION
        };
        let queue = match queue {
            Some(url) => Some(CountedQueue::from_url(url).await),
            None => None,
        };
        let dead_letter_queue = match dead_letter_queue {
            Some(url) => Some(CountedQueue::from_url(url).await),
            None => None,
        };
        Self {
            queue,
            dead_letter_queue,
            processed: ProcessedCounter::None,
            confirmation,
        }
    }

    /// Counts the customers in a table as processed messages.
    #[cfg(feature = "dynamodb")]
    pub(crate) fn with_table(self, table: CustomerTable) -> Self {
        Self {
            processed: ProcessedCounter::Table(table),
            ..self
        }
    }

    fn source(&self) -> CheckSource {
        match self.processed {
            ProcessedCounter::None => CheckSource::Queues,
            ProcessedCounter::Stack(_) => CheckSource::OwnStack,
            #[cfg(feature = "dynamodb")]
            ProcessedCounter::Table(_) => CheckSource::Table,
        }
    }

    /// Counts the messages.
    pub(crate) async fn count(&self) -> Result<MessageCounts, CountError> {
        Ok(MessageCounts {
            queued: read_length(self.queue.as_ref()).await?,
            dead_lettered: read_length(self.dead_letter_queue.as_ref()).await?,
            processed: match &self.processed {
                ProcessedCounter::None => None,
                ProcessedCounter::Stack(stack) => Some(stack.mapping_stats().deleted),
                #[cfg(feature = "dynamodb")]
                ProcessedCounter::Table(table) => Some(table.count().await?),
            },
        })
    }

    /// Waits until every accepted message was processed or dead-lettered, or nothing has changed
    /// for `max_unchanged`.
    pub(crate) async fn settle(
        &self,
        before: MessageCounts,
        accepted: AcceptedMessages,
        max_unchanged: Duration,
    ) -> Result<CheckedCounts, CountError> {
        let mut last = None;
        let mut changed = Instant::now();
        loop {
            let began = Instant::now();
            let counts = self.count().await?;
            let result = CheckedCounts::new(self.source(), before, counts, accepted);
            let pause = POLL_INTERVAL.max(began.elapsed() * PAUSE_FACTOR);
            if last != Some(result) {
                changed = Instant::now();
                last = Some(result);
            }
            // Without the time of this count, which may have missed a change.
            let unchanged = began.saturating_duration_since(changed);
            let is_final = result.is_complete() && unchanged >= self.confirmation;
            let max_unchanged = max_unchanged.max(self.confirmation);
            if is_final || unchanged >= max_unchanged {
                return Ok(result);
            }
            sleep(pause.min(max_unchanged)).await;
        }
    }
}

/// Returns the number of messages in a queue, if there is one.
async fn read_length(queue: Option<&CountedQueue>) -> Result<Option<u64>, QueueError> {
    match queue {
        Some(CountedQueue { client, url }) => {
            let lengths = QueueLengths::read(client, url).await?;
            Ok(Some(lengths.total()))
        }
        None => Ok(None),
    }
}
