//! `ReceiveMessage`.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Request, answer};
use crate::sqs::account::Receive;
use crate::sqs::digest;
use crate::sqs::error::Error;
use crate::sqs::limits::{self, MAX_BATCH_ENTRIES, MAX_VISIBILITY_SECONDS, MAX_WAIT_SECONDS};
use crate::sqs::message::{Attribute, Value};
use crate::sqs::queue::Delivery;
use crate::sqs::settings;
use crate::sqs::wire::messages::{
    AttributeValue, ReceiveMessageRequest, ReceiveMessageResponse, ReceivedMessage,
};

/// System attributes of a message that a receiver may ask for.
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

pub(super) async fn receive(request: &Request<'_>) -> Result<Vec<u8>, Error> {
    let wanted: ReceiveMessageRequest = request.parse()?;
    let name = request.queue_name(wanted.queue_url.as_deref())?;
    let mut system = wanted.message_system_attribute_names.unwrap_or_default();
    system.extend(wanted.attribute_names.unwrap_or_default());
    let unknown = system
        .iter()
        .find(|name| !SYSTEM_ATTRIBUTES.contains(&name.as_str()) && !settings::is_known(name));
    if let Some(unknown) = unknown {
        return Err(Error::InvalidAttributeName(unknown.clone()));
    }
    let most = wanted.max_number_of_messages.unwrap_or(1);
    let receive = Receive {
        most: limits::count(most, MAX_BATCH_ENTRIES, "MaxNumberOfMessages")?,
        visibility: seconds(
            wanted.visibility_timeout,
            MAX_VISIBILITY_SECONDS,
            "VisibilityTimeout",
        )?,
    };
    let wait = seconds(
        wanted.wait_time_seconds,
        MAX_WAIT_SECONDS,
        "WaitTimeSeconds",
    )?;
    let deliveries = request.hub.receive(&name, receive, wait).await?;
    let names = wanted.message_attribute_names.unwrap_or_default();
    let messages = deliveries
        .iter()
        .map(|delivery| message(delivery, &system, &names, request.hub.account_id()))
        .collect();
    answer(&ReceiveMessageResponse { messages })
}

fn seconds(wanted: Option<i64>, most: i64, name: &str) -> Result<Option<Duration>, Error> {
    let reason = format!("Must be >= 0 and <= {most}, if provided.");
    let checked = wanted
        .map(|wanted| limits::in_range(wanted, 0..=most, name, &reason))
        .transpose()?;
    Ok(checked.map(Duration::from_secs))
}

fn message<'a>(
    delivery: &'a Delivery,
    system: &[String],
    names: &[String],
    sender: &str,
) -> ReceivedMessage<'a> {
    let content = &delivery.content;
    let chosen: BTreeMap<&str, &Attribute> = content
        .attributes
        .iter()
        .filter(|(name, _)| names.iter().any(|pattern| matches(pattern, name)))
        .map(|(name, attribute)| (name.as_str(), attribute))
        .collect();
    ReceivedMessage {
        message_id: &content.id,
        receipt_handle: delivery.receipt.handle(),
        md5_of_body: &content.body_md5,
        body: &content.body,
        attributes: system_attributes(delivery, system, sender),
        // Over what is returned, not over what was sent: that is what the receiver can compare.
        md5_of_message_attributes: digest::of_attributes(
            chosen.iter().map(|(name, attribute)| (*name, *attribute)),
        ),
        message_attributes: chosen
            .into_iter()
            .map(|(name, attribute)| (name, value(attribute)))
            .collect(),
    }
}

fn system_attributes(
    delivery: &Delivery,
    names: &[String],
    sender: &str,
) -> BTreeMap<&'static str, String> {
    let content = &delivery.content;
    let present = [
        ("SenderId", Some(sender.to_owned())),
        ("SentTimestamp", Some(content.sent_at.millis().to_string())),
        (
            "ApproximateReceiveCount",
            Some(delivery.receives.to_string()),
        ),
        (
            "ApproximateFirstReceiveTimestamp",
            Some(delivery.first_received_at.millis().to_string()),
        ),
        ("MessageGroupId", content.group_id.clone()),
        ("AWSTraceHeader", content.trace_header.clone()),
        ("DeadLetterQueueSourceArn", delivery.redriven_from.clone()),
    ];
    let wanted = |attribute: &str| names.iter().any(|name| name == "All" || name == attribute);
    let pairs = present.into_iter().filter(|(name, _)| wanted(name));
    pairs
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

/// Whether a name in `MessageAttributeNames` asks for this attribute: `All`, `.*`, a prefix as in
/// `foo.*`, or the name itself.
fn matches(pattern: &str, name: &str) -> bool {
    let by_prefix = pattern
        .strip_suffix(".*")
        .is_some_and(|prefix| name.starts_with(prefix));
    pattern == "All" || pattern == name || by_prefix
}

fn value(attribute: &Attribute) -> AttributeValue {
    let (string_value, binary_value) = match &attribute.value {
        Value::Text(text) => (Some(text.clone()), None),
        Value::Binary(bytes) => (None, Some(STANDARD.encode(bytes))),
    };
    AttributeValue {
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
            assert!(matches(pattern, "Help.Me"), "{pattern}");
        }
        for pattern in ["", "Help", "help.me", "all", "X.*", "*"] {
            assert!(!matches(pattern, "Help.Me"), "{pattern}");
        }
    }
}
