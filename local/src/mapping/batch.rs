//! Gathers a batch with several receives, until the batch is full, its window is over, or the event
//! has reached its maximum size.

use std::collections::VecDeque;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{DisplayErrorContext, SdkError};
use aws_sdk_sqs::operation::receive_message::ReceiveMessageError;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::config::MAX_RECEIVE;
use super::event::{ENVELOPE_BYTES, EventRecord, EventSourceArn};
use super::{MappingConfig, MappingStats};
use crate::environment::MAX_EVENT_BYTES;

/// Maximum time that a receive waits, so that an idle queue costs few calls.
const LONG_POLL: Duration = Duration::from_secs(20);
/// Pause between polls in the last second of a window. A receive can wait only for whole seconds.
const SHORT_POLL_PAUSE: Duration = Duration::from_millis(100);
/// Pause after a failed receive; each further failure in a row doubles it.
const FIRST_ERROR_PAUSE: Duration = Duration::from_millis(200);
/// Maximum pause: an endpoint that recovers is noticed within this time.
const MAX_ERROR_PAUSE: Duration = Duration::from_secs(10);

/// Polls one queue.
#[derive(Debug)]
pub(super) struct Poller {
    sqs: Client,
    config: MappingConfig,
    queue_arn: EventSourceArn,
    stats: MappingStats,
    /// Records that were received but did not fit into the batch. They begin the next one.
    leftover: VecDeque<EventRecord>,
    error_pause: Duration,
}

impl Poller {
    pub(super) fn new(
        sqs: Client,
        config: MappingConfig,
        queue_arn: EventSourceArn,
        stats: MappingStats,
    ) -> Self {
        Self {
            sqs,
            config,
            queue_arn,
            stats,
            leftover: VecDeque::new(),
            error_pause: FIRST_ERROR_PAUSE,
        }
    }

    /// Gathers the records of the next invocation into `batch`. Waits while the queue is empty.
    ///
    /// Cancel safe: `batch` keeps the records that have arrived. Messages that the endpoint is
    /// sending at that moment become visible again after their visibility timeout.
    pub(super) async fn gather(&mut self, batch: &mut Batch) {
        self.fill(batch);
        let mut end = (!batch.is_empty()).then(|| self.window_end());
        while self.leftover.is_empty() && batch.len() < self.config.batch_size.get() {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return;
            }
            let room = self.config.batch_size.get() - batch.len();
            let received = self
                .receive(room.min(MAX_RECEIVE), left.unwrap_or(LONG_POLL))
                .await;
            if received == 0 {
                self.pause(left).await;
            }
            self.fill(batch);
            if end.is_none() && !batch.is_empty() {
                end = Some(self.window_end());
            }
        }
    }

    fn window_end(&self) -> Instant {
        Instant::now() + self.config.batching_window
    }

    /// Waits if the receive itself could not, because less than a second of the window is left.
    async fn pause(&self, left: Option<Duration>) {
        if let Some(left) = left.filter(|left| *left < Duration::from_secs(1)) {
            sleep(left.min(SHORT_POLL_PAUSE)).await;
        }
    }

    fn fill(&mut self, batch: &mut Batch) {
        while let Some(record) = self.leftover.pop_front() {
            if batch.len() == self.config.batch_size.get() {
                self.leftover.push_front(record);
                return;
            }
            if let Err(record) = batch.push(record) {
                self.leftover.push_front(record);
                return;
            }
        }
    }

    /// Receives once and returns the number of messages. After an error, logs it and pauses, for
    /// `wait` at most.
    async fn receive(&mut self, number: usize, wait: Duration) -> usize {
        match self
            .receive_messages(number, wait.min(LONG_POLL).as_secs())
            .await
        {
            Ok(messages) => {
                self.error_pause = FIRST_ERROR_PAUSE;
                self.add_leftover(&messages);
                messages.len()
            }
            Err(error) => {
                self.stats.record_receive_error();
                let queue_url = &self.config.queue_url;
                warn!(error = %DisplayErrorContext(error), queue_url, "cannot receive messages");
                sleep(self.error_pause.min(wait)).await;
                self.error_pause = (self.error_pause * 2).min(MAX_ERROR_PAUSE);
                0
            }
        }
    }

    async fn receive_messages(
        &self,
        number: usize,
        wait_seconds: u64,
    ) -> Result<Vec<Message>, SdkError<ReceiveMessageError>> {
        let response = self
            .sqs
            .receive_message()
            .queue_url(&self.config.queue_url)
            // Both are far below the limit: ten messages, twenty seconds.
            .max_number_of_messages(i32::try_from(number).unwrap_or(i32::MAX))
            .wait_time_seconds(i32::try_from(wait_seconds).unwrap_or(i32::MAX))
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
            .send()
            .await?;
        Ok(response.messages.unwrap_or_default())
    }

    fn add_leftover(&mut self, messages: &[Message]) {
        for message in messages {
            match EventRecord::from_message(message, &self.queue_arn) {
                Some(record) => self.leftover.push_back(record),
                None => warn!(
                    message_id = message.message_id(),
                    "skipped a message without id or receipt handle"
                ),
            }
        }
        self.stats.record_received(messages.len());
    }
}

/// Records of one invocation.
#[derive(Debug)]
pub(super) struct Batch {
    records: Vec<EventRecord>,
    bytes: usize,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self {
            records: Vec::new(),
            bytes: ENVELOPE_BYTES,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn into_records(self) -> Vec<EventRecord> {
        self.records
    }

    fn len(&self) -> usize {
        self.records.len()
    }

    /// Adds a record. Returns it if the event would exceed the size limit of an invocation. The
    /// first record is always accepted: its invocation then fails, so that the message reaches the
    /// dead-letter queue in the end.
    fn push(&mut self, record: EventRecord) -> Result<(), EventRecord> {
        let bytes = self.bytes + record.event_bytes();
        if bytes > MAX_EVENT_BYTES && !self.is_empty() {
            return Err(record);
        }
        self.bytes = bytes;
        self.records.push(record);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::event::build_event;

    fn record(bytes: usize) -> EventRecord {
        EventRecord {
            message_id: String::new(),
            receipt_handle: String::new(),
            json: "x".repeat(bytes),
        }
    }

    #[test]
    fn a_batch_ends_where_an_event_would_be_too_large() {
        let mut batch = Batch::new();
        for _ in 0..5 {
            batch.push(record(1024 * 1024)).unwrap();
        }
        let left = MAX_EVENT_BYTES - batch.bytes;
        assert!(batch.push(record(left)).is_err());
        batch.push(record(left - 1)).unwrap();
        assert!(batch.push(record(1)).is_err());
        assert_eq!(batch.len(), 6);
        assert!(build_event(&batch.into_records()).len() <= MAX_EVENT_BYTES);
    }

    #[test]
    fn the_first_record_always_fits() {
        let mut batch = Batch::new();
        batch.push(record(MAX_EVENT_BYTES)).unwrap();
        assert!(batch.push(record(1)).is_err());
    }
}
