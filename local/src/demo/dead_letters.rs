//! Reader of the dead-letter queue.

use aws_sdk_sqs::Client;

use super::error::DemoError;
use crate::stack::describe_error;

/// SQS's maximum wait of a receive in seconds; it returns immediately when a message arrives.
const LONG_POLL: i32 = 20;
/// SQS's maximum number of messages in a receive.
const MAX_RECEIVE: i32 = 10;

/// The messages that were read so far. They are not deleted, and they stay hidden for longer than
/// the demo takes.
#[derive(Debug, Default)]
pub(super) struct DeadLetters {
    pub(super) message_ids: Vec<String>,
}

impl DeadLetters {
    /// Reads until `count` messages have arrived.
    pub(super) async fn wait_for(
        &mut self,
        count: usize,
        client: &Client,
        queue_url: &str,
    ) -> Result<(), DemoError> {
        while self.message_ids.len() < count {
            self.receive(LONG_POLL, client, queue_url).await?;
        }
        Ok(())
    }

    /// Reads the remaining messages without waiting.
    pub(super) async fn read_rest(
        &mut self,
        client: &Client,
        queue_url: &str,
    ) -> Result<(), DemoError> {
        while self.receive(0, client, queue_url).await? > 0 {}
        Ok(())
    }

    async fn receive(
        &mut self,
        wait_seconds: i32,
        client: &Client,
        queue_url: &str,
    ) -> Result<usize, DemoError> {
        let request = client
            .receive_message()
            .queue_url(queue_url)
            .max_number_of_messages(MAX_RECEIVE)
            .wait_time_seconds(wait_seconds);
        let response = request
            .send()
            .await
            .map_err(|error| DemoError::DeadLetters {
                reason: describe_error(&error),
            })?;
        let messages = response.messages.unwrap_or_default();
        let count = messages.len();
        self.message_ids.extend(
            messages
                .into_iter()
                .filter_map(|message| message.message_id),
        );
        Ok(count)
    }
}
