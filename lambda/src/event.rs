//! The SQS event, read from the payload without copying it.
//!
//! `aws_lambda_events` builds two maps and a dozen strings for each record, which costs a seventh
//! of a whole invocation. This module scans the payload once and keeps only the positions of each
//! record's fields. A field is decoded when it is read.

use std::borrow::Cow;
use std::sync::Arc;

use baton_telemetry::MessageFields;
use lambda_runtime::Context as LambdaContext;
use serde::de::IgnoredAny;

use self::attributes::{MessageAttributes, SQS_NAMES};
use self::carrier::CarrierFields;
use self::fields::SqsRecordFields;
use self::invalid::UnknownObject;
use self::scanner::{JsonKind, Scanner};
use self::string::{JsonString, MAX_LENGTH};

mod attributes;
mod carrier;
mod envelope;
mod fields;
mod invalid;
mod scanner;
mod source;
mod string;

pub use attributes::MessageAttribute;
pub(crate) use carrier::{FieldValue, OTEL_PREFIX, TraceCarrier};
pub(crate) use envelope::{EventBridgeEnvelope, SnsNotification};
pub(crate) use invalid::InvalidEvent;

/// The payload of one invocation, with the positions of its records.
#[derive(Debug)]
pub(crate) struct SqsBatch {
    payload: String,
    records: Vec<SqsRecordFields>,
    lambda: Arc<LambdaContext>,
    /// Log fields of the first message, from which those of the others are derived.
    log_fields: MessageFields,
}

impl SqsBatch {
    /// Reads all records of a payload. `lambda` is the context of its invocation. One invalid
    /// record fails the whole event, because a record that is not reported as failed is deleted
    /// from the queue.
    pub(crate) fn parse(
        payload: Vec<u8>,
        lambda: Arc<LambdaContext>,
    ) -> Result<Self, InvalidEvent> {
        let payload = String::from_utf8(payload).map_err(|error| InvalidEvent::NotUtf8 {
            at: error.utf8_error().valid_up_to(),
        })?;
        let records = read_event(&payload)?;
        Ok(Self {
            payload,
            records,
            lambda,
            log_fields: MessageFields::default(),
        })
    }

    /// Returns the log fields of the message at `index`.
    pub(crate) fn log_fields(&self, index: usize) -> MessageFields {
        self.log_fields.at(index)
    }

    pub(crate) fn lambda_context(&self) -> &LambdaContext {
        &self.lambda
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn record(&self, index: usize) -> SqsRecord<'_> {
        SqsRecord {
            json: &self.payload,
            fields: &self.records[index],
        }
    }

    pub(crate) fn records(&self) -> impl ExactSizeIterator<Item = SqsRecord<'_>> {
        (0..self.len()).map(|index| self.record(index))
    }
}

fn read_event(json: &str) -> Result<Vec<SqsRecordFields>, InvalidEvent> {
    if json.len() > MAX_LENGTH {
        return Err(InvalidEvent::TooLong { length: json.len() });
    }
    let mut scanner = Scanner::new(json);
    let records = read_document(&mut scanner);
    // The scanner reports a syntax error as the end of the document, so that fields after it seem
    // to be missing. The syntax error is the cause and is reported instead.
    let is_json = match records {
        Ok(_) => scanner.is_at_end(),
        // Most other errors end the scan early, so the scanner need not have reached the end.
        Err(_) => !scanner.has_failed(),
    };
    if is_json {
        records
    } else {
        Err(not_json(json))
    }
}

/// Returns the error of `serde_json`, which gives the position and none of the content.
#[cold]
fn not_json(json: &str) -> InvalidEvent {
    let error = serde_json::from_str::<IgnoredAny>(json).err();
    let reason = error.map(|error| error.to_string()).unwrap_or_default();
    InvalidEvent::NotJson { reason }
}

fn read_document(scanner: &mut Scanner<'_>) -> Result<Vec<SqsRecordFields>, InvalidEvent> {
    match scanner.peek_kind() {
        // An event source mapping sends an object with `Records`.
        JsonKind::Object => read_object(scanner),
        // EventBridge Pipes sends an array of the same records, even for a single record
        // (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-batching-concurrency.html).
        JsonKind::Array => read_records(scanner),
        kind => {
            scanner.skip();
            let kind = kind.description();
            Err(InvalidEvent::NotObjectOrArray { kind })
        }
    }
}

fn read_object(scanner: &mut Scanner<'_>) -> Result<Vec<SqsRecordFields>, InvalidEvent> {
    let json = scanner.json();
    scanner.enter();
    let mut records = None;
    let mut unknown = UnknownObject::default();
    while let Some(key) = scanner.next_key() {
        let name = key.decode(json);
        if name.as_deref() != Some("Records") {
            unknown.add_field(name.as_deref());
            scanner.skip();
        } else if records.is_none() {
            records = Some(read_records(scanner)?);
        } else {
            // Neither array may be ignored: Lambda deletes the messages of an event that are not
            // reported as failed.
            return Err(InvalidEvent::DuplicateRecords);
        }
    }
    records.ok_or(InvalidEvent::MissingRecords { event: unknown })
}

fn read_records(scanner: &mut Scanner<'_>) -> Result<Vec<SqsRecordFields>, InvalidEvent> {
    let kind = scanner.peek_kind();
    if kind != JsonKind::Array {
        scanner.skip();
        let kind = kind.description();
        return Err(InvalidEvent::RecordsNotArray { kind });
    }
    scanner.enter();
    let mut records = Vec::new();
    while scanner.next_item() {
        records.push(SqsRecordFields::read(scanner, records.len())?);
    }
    Ok(records)
}

/// One record of the batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SqsRecord<'a> {
    json: &'a str,
    fields: &'a SqsRecordFields,
}

/// A string of an event. Borrowed from the payload unless it contains escapes.
pub(crate) type EventText<'a> = Cow<'a, str>;

impl<'a> SqsRecord<'a> {
    /// Returns the message id, or `None` if it is empty: AWS treats an empty identifier in a
    /// response as the failure of the whole batch.
    pub(crate) fn message_id(&self) -> Option<EventText<'a>> {
        self.text(self.fields.message_id)
            .filter(|id| !id.is_empty())
    }

    pub(crate) fn receipt_handle(&self) -> Option<EventText<'a>> {
        self.text(self.fields.receipt_handle)
    }

    pub(crate) fn body(&self) -> Option<EventText<'a>> {
        self.text(self.fields.body)
    }

    pub(crate) fn queue_arn(&self) -> Option<EventText<'a>> {
        self.text(self.fields.queue_arn)
    }

    /// Returns `true` if the record is from a FIFO queue. Decided by the queue's name, because
    /// messages on standard queues can have group ids too.
    pub(crate) fn is_fifo(&self) -> bool {
        self.fields.is_fifo
    }

    /// Returns the number of deliveries of the message, including this one.
    pub(crate) fn receive_count(&self) -> Option<u32> {
        self.fields.receive_count
    }

    /// Returns the time at which SQS accepted the message, in milliseconds since 1970.
    pub(crate) fn sent_timestamp(&self) -> Option<u64> {
        self.fields.sent_timestamp
    }

    pub(crate) fn group_id(&self) -> Option<EventText<'a>> {
        self.text(self.fields.group_id)
    }

    /// Returns the system attribute `AWSTraceHeader`, which holds an X-Ray trace header.
    pub(crate) fn trace_header(&self) -> Option<EventText<'a>> {
        self.text(self.fields.trace_header)
    }

    /// Returns the trace context in the message attributes.
    pub(crate) fn trace_carrier(&self) -> TraceCarrier<'a> {
        self.fields.carrier.decode(self.json)
    }

    /// Returns the trace context in the message attributes with the prefix `otel.`. Scans the
    /// attributes a second time, because only old producers send such names and a record with a
    /// `traceparent` should not pay for the lookup.
    pub(crate) fn prefixed_trace_carrier(&self) -> Option<TraceCarrier<'a>> {
        let start = self.fields.message_attributes?.get() as usize;
        let mut scanner = Scanner::from_position(self.json, start);
        let carrier = CarrierFields::read_prefixed_attributes(&mut scanner, &SQS_NAMES);
        Some(carrier.decode(self.json))
    }

    /// Returns the body if it may contain an SNS notification or an EventBridge event. Other bodies
    /// are recognised without decoding them.
    pub(crate) fn envelope_body(&self) -> Option<EventText<'a>> {
        let body = self.fields.body?;
        envelope::may_be_envelope(body.raw(self.json)).then(|| body.decode(self.json))?
    }

    /// Returns the JSON of `messageAttributes`, for a send that copies all of them.
    #[cfg(feature = "dead-letter-queue")]
    pub(crate) fn raw_message_attributes(&self) -> Option<&'a str> {
        let start = self.fields.message_attributes?.get() as usize;
        Some(Scanner::from_position(self.json, start).read_raw())
    }

    /// Returns all message attributes, in the order of the event.
    pub(crate) fn message_attributes(
        &self,
    ) -> impl Iterator<Item = MessageAttribute<'a>> + use<'a> {
        MessageAttributes::new(self.json, self.fields.message_attributes, &SQS_NAMES)
    }

    fn text(&self, text: Option<JsonString>) -> Option<EventText<'a>> {
        text?.decode(self.json)
    }
}

#[cfg(test)]
mod tests;
