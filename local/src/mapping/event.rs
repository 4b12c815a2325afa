//! The SQS event that Lambda passes to a function, built from the messages that `ReceiveMessage`
//! returns.

use std::collections::BTreeMap;

use aws_sdk_sqs::types::{Message, MessageAttributeValue};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Serialize;

/// ARN of the queue that the records come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct EventSourceArn {
    pub(super) text: String,
    region: String,
}

impl EventSourceArn {
    /// Parses the ARN of a queue; returns `None` if it is not one.
    pub(super) fn parse(arn: &str) -> Option<Self> {
        let fields: Vec<_> = arn.split(':').collect();
        match fields.as_slice() {
            ["arn", _, "sqs", region, _, _] => Some(Self {
                text: arn.to_owned(),
                region: (*region).to_owned(),
            }),
            _ => None,
        }
    }
}

/// A record of an event, already serialised: its size decides how many records fit into the event,
/// and its text is copied only once.
#[derive(Clone, Debug)]
pub(super) struct EventRecord {
    pub(super) message_id: String,
    pub(super) receipt_handle: String,
    pub(super) json: String,
}

impl EventRecord {
    /// Serialises a received message; `None` if it has no id or no receipt handle, which every
    /// message of SQS has.
    pub(super) fn from_message(message: &Message, queue_arn: &EventSourceArn) -> Option<Self> {
        let (message_id, receipt_handle) = (message.message_id()?, message.receipt_handle()?);
        let record = wire::SqsRecord {
            message_id,
            receipt_handle,
            body: message.body().unwrap_or_default(),
            attributes: message
                .attributes()
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect(),
            message_attributes: message
                .message_attributes()
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.as_str(), wire_attribute(value)))
                .collect(),
            md5_of_message_attributes: message.md5_of_message_attributes(),
            md5_of_body: message.md5_of_body(),
            event_source: "aws:sqs",
            event_source_arn: &queue_arn.text,
            aws_region: &queue_arn.region,
        };
        let json = serde_json::to_string(&record).ok()?;
        Some(Self {
            message_id: message_id.to_owned(),
            receipt_handle: receipt_handle.to_owned(),
            json,
        })
    }

    /// Returns the number of bytes that the record adds to an event. The first record of an event
    /// adds one byte less, because no separator precedes it.
    pub(super) fn event_bytes(&self) -> usize {
        self.json.len() + SEPARATOR.len()
    }
}

/// Text before the records of an event.
const HEAD: &str = r#"{"Records":["#;
/// Text between two records.
const SEPARATOR: &str = ",";
/// Text after the records.
const TAIL: &str = "]}";

/// Size of an event without records.
pub(super) const ENVELOPE_BYTES: usize = HEAD.len() + TAIL.len();

/// Builds an event from records.
pub(super) fn build_event(records: &[EventRecord]) -> Bytes {
    let bytes = ENVELOPE_BYTES + records.iter().map(EventRecord::event_bytes).sum::<usize>();
    let mut event = String::with_capacity(bytes);
    event.push_str(HEAD);
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            event.push_str(SEPARATOR);
        }
        event.push_str(&record.json);
    }
    event.push_str(TAIL);
    Bytes::from(event)
}

fn wire_attribute(value: &MessageAttributeValue) -> wire::MessageAttribute<'_> {
    wire::MessageAttribute {
        string_value: value.string_value(),
        binary_value: value
            .binary_value()
            .map(|binary| BASE64_STANDARD.encode(binary)),
        string_list_values: [],
        binary_list_values: [],
        data_type: value.data_type(),
    }
}

/// JSON documents as Lambda writes them.
mod wire {
    use super::{BTreeMap, Serialize};

    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct SqsRecord<'a> {
        pub(super) message_id: &'a str,
        pub(super) receipt_handle: &'a str,
        pub(super) body: &'a str,
        pub(super) attributes: BTreeMap<&'a str, &'a str>,
        pub(super) message_attributes: BTreeMap<&'a str, MessageAttribute<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) md5_of_message_attributes: Option<&'a str>,
        pub(super) md5_of_body: Option<&'a str>,
        pub(super) event_source: &'a str,
        #[serde(rename = "eventSourceARN")]
        pub(super) event_source_arn: &'a str,
        pub(super) aws_region: &'a str,
    }

    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct MessageAttribute<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) string_value: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) binary_value: Option<String>,
        /// SQS never implemented lists, but the fields are always present.
        pub(super) string_list_values: [&'a str; 0],
        pub(super) binary_list_values: [&'a str; 0],
        pub(super) data_type: &'a str,
    }
}

#[cfg(test)]
mod tests;
