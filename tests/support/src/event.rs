//! SQS events in the form in which an event source mapping sends them.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

/// Queue of a record by default.
const QUEUE_ARN: &str = "arn:aws:sqs:eu-central-1:123456789012:orders";
/// `SentTimestamp` of the record with number 0, in milliseconds since 1970. Each further record is
/// a millisecond later.
const SENT: u64 = 1_700_000_000_000;

/// An element of the event's `Records`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields of the event, under its names")]
pub struct Record {
    pub message_id: String,
    pub receipt_handle: String,
    pub body: String,
    pub attributes: BTreeMap<String, String>,
    pub message_attributes: BTreeMap<String, Value>,
    #[serde(rename = "md5OfBody")]
    pub md5_of_body: String,
    pub event_source: String,
    #[serde(rename = "eventSourceARN")]
    pub event_source_arn: String,
    pub aws_region: String,
}

impl Record {
    /// A record from a standard queue with an id that follows from `number`, the body `{}`, all
    /// system attributes, and no trace context.
    #[must_use]
    pub fn new(number: u64) -> Self {
        let sent = SENT + number;
        let attributes = [
            ("ApproximateReceiveCount", "1".to_owned()),
            ("SentTimestamp", sent.to_string()),
            ("SenderId", "AIDAIENQZJOLO23YVJ4VO".to_owned()),
            ("ApproximateFirstReceiveTimestamp", (sent + 5).to_string()),
        ];
        Self {
            message_id: format!("00000000-0000-4000-9000-{number:012x}"),
            receipt_handle: format!("handle-{number}"),
            body: "{}".to_owned(),
            attributes: attributes
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            message_attributes: BTreeMap::new(),
            md5_of_body: "99914b932bd37a50b983c5e7c90ae93b".to_owned(),
            event_source: "aws:sqs".to_owned(),
            event_source_arn: QUEUE_ARN.to_owned(),
            aws_region: "eu-central-1".to_owned(),
        }
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl ToString) -> Self {
        self.body = body.to_string();
        self
    }

    /// Sets the queue, which is FIFO if its name ends with `.fifo`.
    #[must_use]
    pub fn queue(mut self, name: &str) -> Self {
        self.event_source_arn = format!("arn:aws:sqs:eu-central-1:123456789012:{name}");
        self
    }

    /// Sets a system attribute.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: impl ToString) -> Self {
        self.attributes.insert(name.to_owned(), value.to_string());
        self
    }

    /// Removes a system attribute.
    #[must_use]
    pub fn without_attribute(mut self, name: &str) -> Self {
        self.attributes.remove(name);
        self
    }

    /// Sets a message attribute of type `String`.
    #[must_use]
    pub fn message_attribute(mut self, name: &str, value: impl ToString) -> Self {
        let attribute = json!({
            "stringValue": value.to_string(),
            "stringListValues": [],
            "binaryListValues": [],
            "dataType": "String",
        });
        self.message_attributes.insert(name.to_owned(), attribute);
        self
    }

    /// Sets `traceparent` to a sampled span whose ids follow from `number`.
    #[must_use]
    pub fn traced(self, number: u64) -> Self {
        let (trace_id, span_id) = (Self::trace_id(number), Self::span_id(number));
        self.message_attribute("traceparent", format!("00-{trace_id}-{span_id}-01"))
    }

    /// Returns the trace id that [`traced`](Self::traced) sets.
    #[must_use]
    pub fn trace_id(number: u64) -> String {
        format!("4bf92f3577b34da6{:016x}", number + 1)
    }

    /// Returns the span id that [`traced`](Self::traced) sets.
    #[must_use]
    pub fn span_id(number: u64) -> String {
        format!("00f067aa{:08x}", number + 1)
    }
}

/// Returns the payload of an invocation with these records.
#[must_use]
pub fn event(records: &[Record]) -> Bytes {
    json!({ "Records": records }).to_string().into()
}
