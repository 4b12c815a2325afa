//! Builder of one record of an event.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Map, Value, json};

/// Default `SentTimestamp`. Constant, so that an event written to a file does not change.
const SENT_AT: Duration = Duration::from_secs(1_700_000_000);
/// Default message group on a FIFO queue. The same for all records, so that a test without groups
/// has the strictest order.
const GROUP: &str = "group-1";

/// One message of a [`Batch`](super::Batch), with its metadata.
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
#[derive(Debug, Clone)]
pub struct Record {
    /// The body, or the text of the error if the body could not be serialized.
    body: Result<String, String>,
    id: Option<String>,
    group: Option<String>,
    receive_count: u32,
    sent_at: Duration,
    aws_trace_header: Option<String>,
    message_attributes: Map<String, Value>,
}

/// Queue of a record, and its number in the batch.
pub(super) struct RecordPosition<'a> {
    pub(super) region: &'a str,
    pub(super) queue_arn: &'a str,
    /// Position in the batch, counted from 1.
    pub(super) number: usize,
}

impl Record {
    /// Creates a message with the JSON of `body` as its body. A body that cannot be serialized
    /// fails the run of the batch.
    pub fn json(body: impl Serialize) -> Self {
        let body = serde_json::to_string(&body);
        Self::new(body.map_err(|error| error.to_string()))
    }

    /// Creates a message with the text `body` as its body, for handlers of `Message<String>` and
    /// `Message<Raw>`, and for bodies that are not JSON.
    pub fn raw(body: impl Into<String>) -> Self {
        Self::new(Ok(body.into()))
    }

    fn new(body: Result<String, String>) -> Self {
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

    /// Sets the message id. Default: `message-1`, `message-2` and so on, by the position in the
    /// batch.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the message group. Default: `group-1` on a FIFO queue, none on a standard queue. On a
    /// standard queue, messages of a fair queue have a group.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Sets the number of deliveries, including this one. Default: 1.
    #[must_use]
    pub fn receive_count(mut self, count: u32) -> Self {
        self.receive_count = count;
        self
    }

    /// Sets the time at which SQS accepted the message, in milliseconds. Default: a fixed time in
    /// 2023. A time before 1970 counts as 1970.
    #[must_use]
    pub fn sent_at(mut self, time: SystemTime) -> Self {
        self.sent_at = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        self
    }

    /// Adds a message attribute of type `String`.
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

    /// Sets the message attribute `traceparent`, with which a producer sends its trace context.
    #[must_use]
    pub fn traceparent(self, traceparent: impl Into<String>) -> Self {
        self.attribute(baton_telemetry::TRACEPARENT, traceparent)
    }

    /// Sets the system attribute `AWSTraceHeader`, which X-Ray sets.
    #[must_use]
    pub fn aws_trace_header(mut self, header: impl Into<String>) -> Self {
        self.aws_trace_header = Some(header.into());
        self
    }

    /// Returns the message id in the event.
    pub(super) fn message_id(&self, number: usize) -> String {
        let id = self.id.clone();
        id.unwrap_or_else(|| format!("message-{number}"))
    }

    /// Returns the record as an event source mapping sends it.
    pub(super) fn to_json(&self, position: &RecordPosition<'_>) -> Result<Value, InvalidRecord> {
        let id = self.message_id(position.number);
        let body = self.body.as_ref();
        let body = body.map_err(|error| InvalidRecord::Body {
            id: id.clone(),
            error: error.clone(),
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

/// Error of a batch that cannot be serialized as an event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRecord {
    /// `serde_json` failed to serialize a body.
    #[error("the body of {id} cannot be serialized as JSON: {error}")]
    Body {
        /// Id of the message.
        id: String,
        /// Error of `serde_json`.
        error: String,
    },
}
