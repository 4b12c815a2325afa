//! The `SendMessage` call, repeated with fewer attributes if SQS rejects the message.

use std::time::{Duration, Instant};

use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::operation::send_message::builders::SendMessageFluentBuilder;
use aws_sdk_sqs::operation::send_message::{SendMessageError, SendMessageOutput};
use aws_sdk_sqs::{Client, Config};

use crate::added_attributes::AddedAttributes;
use crate::error::QueueSendError;
use crate::rejection::Rejection;
use crate::stated_size_limit::StatedSizeLimit;

/// Sends a message with added attributes, and repeats the call with fewer of them if SQS rejects
/// the message.
///
/// `request` is the caller's message without the added attributes, and `size` its bytes as SQS
/// counts them. It must be a request of `client`.
///
/// If the rejection states the queue's limit, the message is sent once more with as many attributes
/// as fit, and `limit` remembers the limit for the next messages. Otherwise one group of attributes
/// after another is dropped. Afterwards `added` has the attributes that were sent and the names of
/// the others. All calls together stay within the operation timeout of `client`.
pub(crate) async fn send_message(
    client: &Client,
    request: SendMessageFluentBuilder,
    size: usize,
    added: &mut AddedAttributes,
    limit: &StatedSizeLimit,
) -> Result<SendMessageOutput, QueueSendError> {
    let began = Instant::now();
    let timeout = operation_timeout(client);
    // A message that exceeds the limit even without attributes is sent with all of them: the limit
    // may have been raised.
    if let Some(room) = limit.get(began).and_then(|most| most.checked_sub(size)) {
        added.shrink_to(room);
    }
    let mut outcome = call(&request, added, None).await;
    while let Err(error) = &outcome {
        let Some(rejection) = Rejection::from_error(error) else {
            break;
        };
        if let Some(most) = rejection.limit {
            limit.set(most, Instant::now());
        }
        let left = timeout.map(|timeout| timeout.saturating_sub(began.elapsed()));
        let is_late = left.is_some_and(|left| left.is_zero());
        if is_late || !drop_attributes(added, size, rejection) {
            break;
        }
        outcome = call(&request, added, left).await;
    }
    outcome.map_err(|error| QueueSendError::from_call(error, size))
}

/// Drops attributes for another call. Returns `false` if SQS would reject another call as well.
fn drop_attributes(added: &mut AddedAttributes, size: usize, rejection: Rejection) -> bool {
    let Some(limit) = rejection.limit else {
        return added.drop_next_group();
    };
    match limit.checked_sub(size) {
        None => false,
        Some(room) if added.size() > room => {
            added.shrink_to(room);
            true
        }
        // The endpoint counts bytes differently from SQS.
        Some(_) => added.drop_next_group(),
    }
}

/// Makes one call, including the SDK's retries, within `timeout`. With `None`, the timeout of the
/// client applies.
async fn call(
    request: &SendMessageFluentBuilder,
    added: &AddedAttributes,
    timeout: Option<Duration>,
) -> Result<SendMessageOutput, SdkError<SendMessageError>> {
    let request = added
        .add_to(request.clone())
        .map_err(SdkError::construction_failure)?;
    let Some(timeout) = timeout else {
        return request.send().await;
    };
    let timeouts = TimeoutConfig::builder().operation_timeout(timeout).build();
    let config = Config::builder().timeout_config(timeouts);
    request.customize().config_override(config).send().await
}

fn operation_timeout(client: &Client) -> Option<Duration> {
    client.config().timeout_config()?.operation_timeout()
}
