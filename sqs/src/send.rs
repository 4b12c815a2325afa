//! The send, and the decision to repeat it.

use std::time::{Duration, Instant};

use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::operation::send_message::builders::SendMessageFluentBuilder;
use aws_sdk_sqs::operation::send_message::{SendMessageError, SendMessageOutput};
use aws_sdk_sqs::{Client, Config};

use crate::added::AddedAttributes;
use crate::learned_limit::LearnedLimit;
use crate::refusal::Refusal;

/// A message that SQS did not confirm as accepted.
#[derive(Debug, thiserror::Error)]
pub enum NotSent {
    /// The caller's message is larger than the queue accepts, even without added attributes.
    #[error("the message has {size} bytes, more than the {limit} that the queue accepts")]
    TooLarge {
        /// Bytes of the caller's message, as SQS counts them.
        size: usize,
        /// The queue's size limit in bytes, as SQS stated it.
        limit: usize,
        /// The refusal.
        source: Box<SdkError<SendMessageError>>,
    },
    /// SQS refused the message for another reason, or gave no usable answer.
    #[error("SQS did not accept the message")]
    Call(#[source] Box<SdkError<SendMessageError>>),
}

/// Sends a message with added attributes, leaving some out if SQS refuses the message with all of
/// them.
///
/// `request` is the caller's message without the added attributes, and `size` its bytes as SQS
/// counts them: the body, and name, type and value of each attribute. It must be a request of
/// `client`.
///
/// If the refusal states the queue's limit, the message is sent once more with as many attributes
/// as fit, and `limit` remembers the limit for the next messages. Otherwise one group of attributes
/// after another is left out: the metadata, `baggage`, `tracestate`, the rest. Afterwards `added`
/// holds the attributes that were sent, and [`AddedAttributes::left_out`] names the others. All
/// calls together stay within the operation timeout of `client`.
///
/// # Errors
///
/// When SQS refuses the message even without added attributes, when it refuses it for a reason
/// other than the message's content, or when it does not answer within the client's timeouts and
/// retries. In the last case the message may have been sent.
pub async fn send(
    client: &Client,
    request: SendMessageFluentBuilder,
    size: usize,
    added: &mut AddedAttributes,
    limit: &LearnedLimit,
) -> Result<SendMessageOutput, NotSent> {
    let began = Instant::now();
    let timeout = operation_timeout(client);
    // A message that is too large by itself is still sent with all attributes: the limit may have
    // been raised.
    if let Some(room) = limit.get(began).and_then(|most| most.checked_sub(size)) {
        added.shrink_to(room);
    }
    let mut outcome = call(&request, added, None).await;
    while let Err(error) = &outcome {
        let Some(refusal) = Refusal::from_error(error) else {
            break;
        };
        if let Some(most) = refusal.limit {
            limit.set(most, Instant::now());
        }
        let left = timeout.map(|timeout| timeout.saturating_sub(began.elapsed()));
        if left.is_some_and(|left| left.is_zero()) || !leave_out(added, size, refusal) {
            break;
        }
        outcome = call(&request, added, left).await;
    }
    outcome.map_err(|error| NotSent::of(error, size))
}

impl NotSent {
    fn of(error: SdkError<SendMessageError>, size: usize) -> Self {
        let limit = Refusal::from_error(&error).and_then(|refusal| refusal.limit);
        let source = Box::new(error);
        match limit.filter(|limit| *limit < size) {
            Some(limit) => Self::TooLarge {
                size,
                limit,
                source,
            },
            None => Self::Call(source),
        }
    }
}

/// Leaves out attributes for another call. Returns `false` where another call would be refused as
/// well.
fn leave_out(added: &mut AddedAttributes, size: usize, refusal: Refusal) -> bool {
    let Some(limit) = refusal.limit else {
        return added.leave_out_next();
    };
    match limit.checked_sub(size) {
        None => false,
        Some(room) if added.size() > room => {
            added.shrink_to(room);
            true
        }
        // The endpoint counts bytes differently from SQS.
        Some(_) => added.leave_out_next(),
    }
}

/// Makes one call, including retries, within `timeout`, or within the client's own timeout if
/// `None`.
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
