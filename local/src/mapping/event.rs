//! The SQS event that Lambda hands to a function, made from what `ReceiveMessage` returns.

use std::collections::BTreeMap;

use aws_sdk_sqs::types::{Message, MessageAttributeValue};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde::Serialize;

/// Where the records come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Source {
    pub(super) arn: String,
    region: String,
}

impl Source {
    /// Takes the region from a queue's ARN; `None` when it is no ARN of a queue.
    pub(super) fn of(arn: &str) -> Option<Self> {
        let fields: Vec<_> = arn.split(':').collect();
        match fields.as_slice() {
            ["arn", _, "sqs", region, _, _] => Some(Self {
                arn: arn.to_owned(),
                region: (*region).to_owned(),
            }),
            _ => None,
        }
    }
}

/// One record of an event, written out already: its size decides how many fit, and it is copied
/// once.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) message_id: String,
    pub(super) receipt_handle: String,
    pub(super) json: String,
}

/// Writes a received message out as a record; `None` when it has no id or receipt handle, which
/// every message has.
pub(super) fn record(message: &Message, source: &Source) -> Option<Record> {
    let (message_id, receipt_handle) = (message.message_id()?, message.receipt_handle()?);
    let wire = wire::Record {
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
            .map(|(name, value)| (name.as_str(), attribute(value)))
            .collect(),
        md5_of_message_attributes: message.md5_of_message_attributes(),
        md5_of_body: message.md5_of_body(),
        event_source: "aws:sqs",
        event_source_arn: &source.arn,
        aws_region: &source.region,
    };
    let json = serde_json::to_string(&wire).ok()?;
    Some(Record {
        message_id: message_id.to_owned(),
        receipt_handle: receipt_handle.to_owned(),
        json,
    })
}

/// What stands before the records of an event.
const HEAD: &str = r#"{"Records":["#;
/// What stands between two of them.
const SEPARATOR: &str = ",";
/// What stands after them.
const TAIL: &str = "]}";

/// How many bytes an event has without its records.
pub(super) const ENVELOPE_BYTES: usize = HEAD.len() + TAIL.len();

/// How many bytes a record adds to an event; one more than it does when it is the first.
pub(super) fn weight(record: &Record) -> usize {
    record.json.len() + SEPARATOR.len()
}

/// Puts an event together.
pub(super) fn event(records: &[Record]) -> Bytes {
    let bytes = ENVELOPE_BYTES + records.iter().map(weight).sum::<usize>();
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

fn attribute(value: &MessageAttributeValue) -> wire::Attribute<'_> {
    wire::Attribute {
        string_value: value.string_value(),
        binary_value: value
            .binary_value()
            .map(|binary| BASE64_STANDARD.encode(binary)),
        string_list_values: [],
        binary_list_values: [],
        data_type: value.data_type(),
    }
}

/// The shapes as Lambda writes them.
mod wire {
    use super::{BTreeMap, Serialize};

    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Record<'a> {
        pub(super) message_id: &'a str,
        pub(super) receipt_handle: &'a str,
        pub(super) body: &'a str,
        pub(super) attributes: BTreeMap<&'a str, &'a str>,
        pub(super) message_attributes: BTreeMap<&'a str, Attribute<'a>>,
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
    pub(super) struct Attribute<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) string_value: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) binary_value: Option<String>,
        /// Lists were never implemented by SQS, and are always there.
        pub(super) string_list_values: [&'a str; 0],
        pub(super) binary_list_values: [&'a str; 0],
        pub(super) data_type: &'a str,
    }
}

#[cfg(test)]
mod tests;
