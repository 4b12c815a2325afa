//! `ReceiveMessage`.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::json::{ActionRequest, to_json};
use crate::sqs::account::ReceiveOptions;
use crate::sqs::error::SqsError;
use crate::sqs::limits::{self, MAX_BATCH_ENTRIES, MAX_VISIBILITY_SECONDS, MAX_WAIT_SECONDS};
use crate::sqs::message::{AttributeValue, TypedAttribute};
use crate::sqs::queue::ReceivedMessage;
use crate::sqs::wire::messages::{
    MessageAttributeValue, ReceiveMessageRequest, ReceiveMessageResponse, ReceivedMessageFields,
};
use crate::sqs::{digest, settings};

/// System attributes that a receiver may request.
const SYSTEM_ATTRIBUTES: [&str; 10] = [
    "All",
    "SenderId",
    "SentTimestamp",
    "ApproximateReceiveCount",
    "ApproximateFirstReceiveTimestamp",
    "SequenceNumber",
    "MessageDeduplicationId",
    "MessageGroupId",
    "AWSTraceHeader",
    "DeadLetterQueueSourceArn",
];

pub(super) async fn receive_message(request: &ActionRequest<'_>) -> Result<Vec<u8>, SqsError> {
    let input: ReceiveMessageRequest = request.parse()?;
    let name = request.queue_name(input.queue_url.as_deref())?;
    let mut system = input.message_system_attribute_names.unwrap_or_default();
    system.extend(input.attribute_names.unwrap_or_default());
    let unknown = system.iter().find(|name| {
        !SYSTEM_ATTRIBUTES.contains(&name.as_str()) && !settings::is_queue_attribute(name)
    });
    if let Some(unknown) = unknown {
        return Err(SqsError::InvalidAttributeName(unknown.clone()));
    }
    let most = input.max_number_of_messages.unwrap_or(1);
    let options = ReceiveOptions {
        max_messages: limits::check_count(most, MAX_BATCH_ENTRIES, "MaxNumberOfMessages")?,
        visibility: check_seconds(
            input.visibility_timeout,
            MAX_VISIBILITY_SECONDS,
            "VisibilityTimeout",
        )?,
    };
    let wait = check_seconds(input.wait_time_seconds, MAX_WAIT_SECONDS, "WaitTimeSeconds")?;
    let received = request.account.receive(&name, options, wait).await?;
    let names = input.message_attribute_names.unwrap_or_default();
    let messages = received
        .iter()
        .map(|received| write_message(received, &system, &names, request.account.account_id()))
        .collect();
    to_json(&ReceiveMessageResponse { messages })
}

fn check_seconds(value: Option<i64>, most: i64, name: &str) -> Result<Option<Duration>, SqsError> {
    let reason = format!("Must be >= 0 and <= {most}, if provided.");
    let checked = value
        .map(|value| limits::check_range(value, 0..=most, name, &reason))
        .transpose()?;
    Ok(checked.map(Duration::from_secs))
}

fn write_message<'a>(
    received: &'a ReceivedMessage,
    system: &[String],
    names: &[String],
    sender: &str,
) -> ReceivedMessageFields<'a> {
    let content = &received.content;
    let chosen: BTreeMap<&str, &TypedAttribute> = content
        .attributes
        .iter()
        .filter(|(name, _)| names.iter().any(|pattern| matches_pattern(pattern, name)))
        .map(|(name, attribute)| (name.as_str(), attribute))
        .collect();
    ReceivedMessageFields {
        message_id: &content.id,
        receipt_handle: received.receipt.handle(),
        md5_of_body: &content.body_md5,
        body: &content.body,
        attributes: system_attributes(received, system, sender),
        // The digest covers the returned attributes, not all attributes of the message, because the
        // receiver can compare only those.
        md5_of_message_attributes: digest::hash_attributes(
            chosen.iter().map(|(name, attribute)| (*name, *attribute)),
        ),
        message_attributes: chosen
            .into_iter()
            .map(|(name, attribute)| (name, write_attribute(attribute)))
            .collect(),
    }
}

fn system_attributes(
    received: &ReceivedMessage,
    names: &[String],
    sender: &str,
) -> BTreeMap<&'static str, String> {
    let content = &received.content;
    let present = [
        ("SenderId", Some(sender.to_owned())),
        ("SentTimestamp", Some(content.sent_at.millis().to_string())),
        (
            "ApproximateReceiveCount",
            Some(received.receive_count.to_string()),
        ),
        (
            "ApproximateFirstReceiveTimestamp",
            Some(received.first_received_at.millis().to_string()),
        ),
        ("MessageGroupId", content.group_id.clone()),
        ("AWSTraceHeader", content.trace_header.clone()),
        ("DeadLetterQueueSourceArn", received.source_arn.clone()),
    ];
    let is_requested =
        |attribute: &str| names.iter().any(|name| name == "All" || name == attribute);
    let pairs = present.into_iter().filter(|(name, _)| is_requested(name));
    pairs
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

/// Returns true if a name in `MessageAttributeNames` selects this attribute: `All`, `.*`, a prefix
/// as in `foo.*`, or the name itself.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    let by_prefix = pattern
        .strip_suffix(".*")
        .is_some_and(|prefix| name.starts_with(prefix));
    pattern == "All" || pattern == name || by_prefix
}

fn write_attribute(attribute: &TypedAttribute) -> MessageAttributeValue {
    let (string_value, binary_value) = match &attribute.value {
        AttributeValue::Text(text) => (Some(text.clone()), None),
        AttributeValue::Binary(bytes) => (None, Some(STANDARD.encode(bytes))),
    };
    MessageAttributeValue {
        string_value,
        binary_value,
        string_list_values: None,
        binary_list_values: None,
        data_type: Some(attribute.data_type.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_all_or_a_prefix_or_a_name() {
        for pattern in ["All", ".*", "Hel.*", "Help.*", "Help.Me"] {
            assert!(matches_pattern(pattern, "Help.Me"), "{pattern}");
        }
        for pattern in ["", "Help", "help.me", "all", "X.*", "*"] {
            assert!(!matches_pattern(pattern, "Help.Me"), "{pattern}");
        }
    }
}
