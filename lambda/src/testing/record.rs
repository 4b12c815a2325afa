//! One record of an event that is being built.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Map, Value, json};

/// `SentTimestamp` of a record that does not say: always the same, so that an event written to a
/// file does not change.
const SENT_AT: Duration = Duration::from_secs(1_700_000_000);
/// The group of a record on a FIFO queue that does not name one. All share it: what is tested is
/// the stricter order.
const GROUP: &str = "group-1";

/// One message of a [`Batch`](super::Batch), with everything that SQS can say about it.
///
/// ```
/// use baton_lambda::testing::{Batch, Record};
/// use serde_json::json;
///
/// let redelivered = Record::json(json!({"id": "1"}))
///     .id("m-1")
///     .receive_count(3)
///     .attribute("tenant", "blue")
///     .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
/// let batch = Batch::standard("orders").record(redelivered);
/// # assert_eq!(batch.event().unwrap()["Records"][0]["messageId"], "m-1");
/// ```
#[derive(Debug)]
pub struct Record {
    body: Result<String, serde_json::Error>,
    id: Option<String>,
    group: Option<String>,
    receive_count: u32,
    sent_at: Duration,
    aws_trace_header: Option<String>,
    message_attributes: Map<String, Value>,
}

/// Where a record stands: the queue it comes from, and its number in the batch.
pub(super) struct RecordPosition<'a> {
    pub(super) region: &'a str,
    pub(super) queue_arn: &'a str,
    /// From 1.
    pub(super) number: usize,
}

impl Record {
    /// A message whose body is `body` as JSON. A body that `serde_json` cannot write shows when the
    /// batch is run.
    pub fn json(body: impl Serialize) -> Self {
        Self::new(serde_json::to_string(&body))
    }

    /// A message with this text as its body: for handlers of `Message<String>` and `Message<Raw>`,
    /// and for bodies that are no JSON.
    pub fn raw(body: impl Into<String>) -> Self {
        Self::new(Ok(body.into()))
    }

    fn new(body: Result<String, serde_json::Error>) -> Self {
        Self {
            body,
            id: None,
            group: None,
            receive_count: 1,
            sent_at: SENT_AT,
            aws_trace_header: None,
            message_attributes: Map::new(),
        }
    }

    /// The message's identifier. By default `message-1`, `message-2` and so on, by its place in the
    /// batch.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The message group. On a FIFO queue `group-1` by default; on a standard queue none, as
    /// messages of a fair queue have one there.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// How often the message has been delivered, this time included. By default once.
    #[must_use]
    pub fn receive_count(mut self, count: u32) -> Self {
        self.receive_count = count;
        self
    }

    /// When SQS accepted the message, to the millisecond. By default a fixed moment in 2023; a time
    /// before 1970 counts as 1970.
    #[must_use]
    pub fn sent_at(mut self, time: SystemTime) -> Self {
        self.sent_at = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        self
    }

    /// A message attribute of type `String`.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let attribute = json!({
            "stringValue": value.into(),
            "stringListValues": [],
            "binaryListValues": [],
            "dataType": "String",
        });
        self.message_attributes.insert(name.into(), attribute);
        self
    }

    /// The producer's trace context, as a producer sends it: the message attribute `traceparent`.
    #[must_use]
    pub fn traceparent(self, traceparent: impl Into<String>) -> Self {
        self.attribute(baton_telemetry::TRACEPARENT, traceparent)
    }

    /// The system attribute `AWSTraceHeader`, which X-Ray sets.
    #[must_use]
    pub fn aws_trace_header(mut self, header: impl Into<String>) -> Self {
        self.aws_trace_header = Some(header.into());
        self
    }

    /// The identifier in the event.
    pub(super) fn message_id(&self, number: usize) -> String {
        let id = self.id.clone();
        id.unwrap_or_else(|| format!("message-{number}"))
    }

    /// The record as the event source mapping writes it.
    pub(super) fn to_json(&self, position: &RecordPosition<'_>) -> Result<Value, InvalidRecord> {
        let id = self.message_id(position.number);
        let body = self.body.as_ref();
        let body = body.map_err(|error| InvalidRecord::Body {
            id: id.clone(),
            error: error.to_string(),
        })?;
        Ok(json!({
            "messageId": id,
            "receiptHandle": format!("receipt-handle-{}", position.number),
            "body": body,
            "attributes": self.system_attributes(position),
            "messageAttributes": self.message_attributes,
            "eventSource": "aws:sqs",
            "eventSourceARN": position.queue_arn,
            "awsRegion": position.region,
        }))
    }

    fn system_attributes(&self, position: &RecordPosition<'_>) -> Value {
        let sent_at = self.sent_at.as_millis().to_string();
        let mut attributes = json!({
            "ApproximateReceiveCount": self.receive_count.to_string(),
            "SentTimestamp": sent_at,
            "SenderId": "AIDAEXAMPLE",
            "ApproximateFirstReceiveTimestamp": sent_at,
        });
        let mut group = self.group.as_deref();
        if position.queue_arn.ends_with(".fifo") {
            group = group.or(Some(GROUP));
            attributes["SequenceNumber"] = format!("{:020}", position.number).into();
            attributes["MessageDeduplicationId"] =
                format!("deduplication-{}", position.number).into();
        }
        if let Some(group) = group {
            attributes["MessageGroupId"] = group.into();
        }
        if let Some(header) = &self.aws_trace_header {
            attributes["AWSTraceHeader"] = header.as_str().into();
        }
        attributes
    }
}

/// Why a batch did not become an event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRecord {
    /// `serde_json` could not write a body.
    #[error("the body of {id} cannot be written as JSON: {error}")]
    Body {
        /// The message's identifier.
        id: String,
        /// What `serde_json` said.
        error: String,
    },
}
