//! Errors for payloads that are not SQS events.
//!
//! An error describes the payload, so that a wrong event source is easy to identify. It repeats no
//! value of the payload except the name of an AWS service in `eventSource`, because any other value
//! may belong to a user's message.

use std::fmt;

use super::source::{EVENT_SOURCE, EventSource};

/// Fields that identify other kinds of events. Earlier entries take precedence.
const SIGNATURES: [(&str, &str); 6] = [
    ("detail-type", "an EventBridge event"),
    ("requestContext", "an HTTP request"),
    ("awslogs", "a CloudWatch Logs event"),
    ("deliveryStreamArn", "a Firehose event"),
    ("bootstrapServers", "a Kafka event"),
    ("key1", "the sample event of the Lambda console"),
];

/// Reason why a payload is not an SQS event.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidEvent {
    /// Positions in the payload would overflow. Lambda accepts at most 6 MB.
    #[error("the event has {length} bytes, more than Lambda allows")]
    TooLong { length: usize },
    #[error("the event is not UTF-8: invalid byte at {at}")]
    NotUtf8 {
        /// Position of the first invalid byte.
        at: usize,
    },
    #[error("the event is not JSON: {reason}")]
    NotJson { reason: String },
    #[error(
        "the event is {kind}, expected the object with Records that an SQS event source mapping sends, \
         or the array of records that EventBridge Pipes sends"
    )]
    NotObjectOrArray { kind: &'static str },
    /// An event of another service, or a test event.
    #[error(
        "Records is missing: the event is {event}, expected the event of an SQS event source mapping"
    )]
    MissingRecords { event: UnknownObject },
    #[error("Records is {kind}, expected an array of SQS messages")]
    RecordsNotArray { kind: &'static str },
    #[error("duplicate field Records")]
    DuplicateRecords,
    #[error("Records[{index}] is not an object")]
    RecordNotObject { index: usize },
    #[error("Records[{index}].{source_field}, expected {EVENT_SOURCE}")]
    WrongSource {
        index: usize,
        source_field: EventSource,
    },
    #[error("Records[{index}].{field} is not a string")]
    FieldNotString { index: usize, field: &'static str },
    /// Rejected, because the record does not say which of the values is the right one.
    #[error("Records[{index}] has a duplicate field {field}")]
    DuplicateField { index: usize, field: &'static str },
}

/// Description of an object without `Records`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct UnknownObject {
    fields: usize,
    /// Position in `SIGNATURES`.
    signature: Option<usize>,
}

impl UnknownObject {
    pub(super) fn add_field(&mut self, name: Option<&str>) {
        self.fields += 1;
        let found = SIGNATURES.iter().position(|(field, _)| name == Some(field));
        // Fields can come in any order, so the entry that takes precedence is kept and not the
        // first one that is found.
        self.signature = match (self.signature, found) {
            (Some(known), Some(found)) => Some(known.min(found)),
            (known, found) => known.or(found),
        };
    }
}

impl fmt::Display for UnknownObject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.signature, self.fields) {
            (Some(signature), _) => formatter.write_str(SIGNATURES[signature].1),
            (None, 0) => formatter.write_str("an empty object"),
            (None, 1) => formatter.write_str("an object with one other field"),
            (None, fields) => write!(formatter, "an object with {fields} other fields"),
        }
    }
}
