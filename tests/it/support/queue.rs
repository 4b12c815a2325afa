//! A queue, accessed with `aws-sdk-sqs`.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};

use super::eventually;

/// Wait time of one receive in seconds.
const LONG_POLL: i32 = 2;

#[derive(Debug)]
pub(crate) struct Queue {
    client: Client,
    url: String,
}

impl Queue {
    pub(crate) fn new(endpoint: &str, url: &str) -> Self {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(endpoint)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        Self {
            client: Client::from_conf(config),
            url: url.to_owned(),
        }
    }

    /// Makes the queue reject larger messages.
    pub(crate) async fn set_maximum_message_size(&self, bytes: usize) {
        let request = self.client.set_queue_attributes().queue_url(&self.url);
        let name = QueueAttributeName::MaximumMessageSize;
        let request = request.attributes(name, bytes.to_string());
        request.send().await.unwrap();
    }

    /// Sends a message without a trace context. Returns its id.
    pub(crate) async fn send(&self, body: &str) -> String {
        let sent = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .send()
            .await
            .unwrap();
        sent.message_id.unwrap()
    }

    /// Waits for a message, deletes it and returns it.
    pub(crate) async fn consume(&self) -> Message {
        let message = eventually("a message on the queue", async || self.receive().await).await;
        let handle = message.receipt_handle().unwrap();
        self.client
            .delete_message()
            .queue_url(&self.url)
            .receipt_handle(handle)
            .send()
            .await
            .unwrap();
        message
    }

    /// Waits until the queue has no message that is waiting, in flight or delayed.
    pub(crate) async fn wait_until_empty(&self) {
        eventually("an empty queue", async || {
            (self.depth().await == 0).then_some(())
        })
        .await;
    }

    async fn receive(&self) -> Option<Message> {
        let request = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .wait_time_seconds(LONG_POLL);
        let request = request
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All);
        request.send().await.unwrap().messages?.pop()
    }

    /// Returns the number of messages that are waiting, in flight or delayed.
    async fn depth(&self) -> u64 {
        let request = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(QueueAttributeName::All);
        let attributes = request.send().await.unwrap().attributes.unwrap();
        let counts = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        counts
            .iter()
            .map(|name| attributes[name].parse::<u64>().unwrap())
            .sum()
    }
}
