//! The `SendMessage` call, repeated with fewer attributes if SQS rejects the message.

use std::time::{Duration, Instant};

use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::operation::send_message::{SendMessageError, SendMessageOutput};
use aws_sdk_sqs::{Client, Config};

use crate::added_attributes::AddedAttributes;
use crate::error::QueueSendError;
use crate::message::OutgoingMessage;
use crate::queue::QueueUrl;
use crate::rejection::Rejection;
use crate::sdk_request::SdkAttributes;
use crate::stated_size_limit::StatedSizeLimit;

/// The message of a call, and the queue that it is sent to.
pub(crate) struct SendMessageCall<'a> {
    pub(crate) client: &'a Client,
    pub(crate) queue: &'a QueueUrl,
    pub(crate) message: &'a OutgoingMessage,
}

impl SendMessageCall<'_> {
    /// Sends the message with added attributes, and repeats the call with fewer of them if SQS
    /// rejects the message.
    ///
    /// If the rejection states the queue's limit, the message is sent once more with as many
    /// attributes as fit, and `limit` remembers the limit for the next messages. Otherwise one
    /// group of attributes after another is dropped. Afterwards `added` has the attributes that
    /// were sent and the names of the others. All calls together stay within the operation timeout
    /// of the client.
    pub(crate) async fn send(
        &self,
        added: &mut AddedAttributes,
        limit: &StatedSizeLimit,
    ) -> Result<SendMessageOutput, QueueSendError> {
        let began = Instant::now();
        let timeout = self.operation_timeout();
        let size = self.message.size();
        limit.shrink(added, size, began);
        let mut outcome = self.attempt(added, None).await;
        while let Err(error) = &outcome {
            let Some(rejection) = Rejection::from_error(error) else {
                break;
            };
            limit.learn(rejection, Instant::now());
            let left = timeout.map(|timeout| timeout.saturating_sub(began.elapsed()));
            let is_late = left.is_some_and(|left| left.is_zero());
            if is_late || !added.drop_after(rejection, size) {
                break;
            }
            outcome = self.attempt(added, left).await;
        }
        outcome.map_err(|error| QueueSendError::from_call(error, size))
    }

    /// Makes one call, including the SDK's retries, within `timeout`. With `None`, the timeout of
    /// the client applies.
    async fn attempt(
        &self,
        added: &AddedAttributes,
        timeout: Option<Duration>,
    ) -> Result<SendMessageOutput, SdkError<SendMessageError>> {
        let attributes = SdkAttributes::new(self.message, added);
        let attributes = attributes.map_err(SdkError::construction_failure)?;
        let request = self
            .client
            .send_message()
            .queue_url(self.queue.as_str())
            .message_body(&self.message.body)
            .set_message_attributes(attributes.attributes)
            .set_message_system_attributes(attributes.system_attributes)
            .set_message_group_id(self.message.group_id.clone())
            .set_message_deduplication_id(self.message.deduplication_id.clone())
            .set_delay_seconds(self.message.delay_seconds);
        let Some(timeout) = timeout else {
            return request.send().await;
        };
        let timeouts = TimeoutConfig::builder().operation_timeout(timeout).build();
        let config = Config::builder().timeout_config(timeouts);
        request.customize().config_override(config).send().await
    }

    fn operation_timeout(&self) -> Option<Duration> {
        self.client.config().timeout_config()?.operation_timeout()
    }
}
