//! The SQS event, read from the payload without copying it.
//!
//! `aws_lambda_events` builds two maps and a dozen strings for every record, a seventh of a whole
//! invocation. Here the payload is walked over once; a record is a handful of positions in it, and
//! what is behind them is read when somebody asks.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use self::attributes::{Attributes, OF_SQS};
use self::carrier::Carrier;
use self::fields::Fields;
use self::invalid::{Arrived, in_words};
use self::scan::{Kind, Scanner};
use self::text::{MAX_LENGTH, Text};

mod attributes;
mod carrier;
mod fields;
mod inner;
mod invalid;
mod scan;
mod text;

pub use attributes::MessageAttribute;
pub(crate) use carrier::{OTEL_PREFIX, TraceCarrier, Value};
pub(crate) use inner::{BridgeEvent, Notification};
pub(crate) use invalid::InvalidEvent;

/// The payload of one invocation.
#[derive(Debug)]
pub(crate) struct Batch {
    payload: String,
    records: Vec<Fields>,
}

impl Batch {
    /// Reads all records, or none: a record that cannot be told from a message must not be deleted
    /// as one, so it fails the invocation.
    pub(crate) fn parse(payload: Vec<u8>) -> Result<Self, InvalidEvent> {
        let payload = String::from_utf8(payload).map_err(|error| InvalidEvent::NotUtf8 {
            at: error.utf8_error().valid_up_to(),
        })?;
        let records = read_event(&payload)?;
        Ok(Self { payload, records })
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn record(&self, index: usize) -> Record<'_> {
        Record {
            json: &self.payload,
            fields: &self.records[index],
        }
    }

    pub(crate) fn records(&self) -> impl ExactSizeIterator<Item = Record<'_>> {
        (0..self.len()).map(|index| self.record(index))
    }
}

fn read_event(json: &str) -> Result<Vec<Fields>, InvalidEvent> {
    if json.len() > MAX_LENGTH {
        return Err(InvalidEvent::TooLong { length: json.len() });
    }
    let mut scanner = Scanner::new(json);
    let records = read_document(&mut scanner);
    // What is no JSON has fields missing for that reason alone.
    let is_json = match records {
        Ok(_) => scanner.is_at_end(),
        Err(_) => !scanner.has_ended_early(),
    };
    if is_json {
        records
    } else {
        Err(not_json(json))
    }
}

/// Leaves it to `serde_json` to say what is wrong: its words name a place and no content.
#[cold]
fn not_json(json: &str) -> InvalidEvent {
    let error = serde_json::from_str::<IgnoredAny>(json).err();
    let reason = error.map(|error| error.to_string()).unwrap_or_default();
    InvalidEvent::NotJson { reason }
}

fn read_document(scanner: &mut Scanner<'_>) -> Result<Vec<Fields>, InvalidEvent> {
    match scanner.kind() {
        // An event source mapping sends an object with `Records`.
        Kind::Object => read_object(scanner),
        // EventBridge Pipes sends an array of the same records, even for a single record
        // (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-batching-concurrency.html).
        Kind::Array => read_records(scanner),
        kind => {
            scanner.skip();
            let arrived = in_words(kind);
            Err(InvalidEvent::NotAnEvent { arrived })
        }
    }
}

fn read_object(scanner: &mut Scanner<'_>) -> Result<Vec<Fields>, InvalidEvent> {
    let json = scanner.json();
    scanner.enter();
    let mut records = None;
    let mut arrived = Arrived::default();
    while let Some(key) = scanner.key() {
        let name = key.decode(json);
        if name.as_deref() != Some("Records") {
            arrived.note(name.as_deref());
            scanner.skip();
        } else if records.is_none() {
            records = Some(read_records(scanner)?);
        } else {
            return Err(InvalidEvent::RecordsTwice);
        }
    }
    records.ok_or(InvalidEvent::NoRecords { arrived })
}

fn read_records(scanner: &mut Scanner<'_>) -> Result<Vec<Fields>, InvalidEvent> {
    if scanner.kind() != Kind::Array {
        let arrived = in_words(scanner.kind());
        scanner.skip();
        return Err(InvalidEvent::Records { arrived });
    }
    scanner.enter();
    let mut records = Vec::new();
    while scanner.item() {
        records.push(Fields::read(scanner, records.len())?);
    }
    Ok(records)
}

/// One message of the batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    json: &'a str,
    fields: &'a Fields,
}

/// A text of an event: borrowed from it unless it has escapes.
pub(crate) type EventText<'a> = Cow<'a, str>;

impl<'a> Record<'a> {
    /// Never empty: AWS takes an empty identifier as the failure of the whole batch.
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

    /// Whether its queue is a FIFO queue. Only the queue's name tells: messages on standard queues
    /// carry group ids too.
    pub(crate) fn is_fifo(&self) -> bool {
        self.fields.is_fifo
    }

    /// How often the message has been delivered, this time included.
    pub(crate) fn receive_count(&self) -> Option<u32> {
        self.fields.receive_count
    }

    /// When SQS got the message, in milliseconds since 1970.
    pub(crate) fn sent_timestamp(&self) -> Option<u64> {
        self.fields.sent_timestamp
    }

    pub(crate) fn group_id(&self) -> Option<EventText<'a>> {
        self.text(self.fields.group_id)
    }

    /// The X-Ray header that AWS put beside the message.
    pub(crate) fn trace_header(&self) -> Option<EventText<'a>> {
        self.text(self.fields.trace_header)
    }

    /// The trace context among the message attributes.
    pub(crate) fn trace_carrier(&self) -> TraceCarrier<'a> {
        self.fields.carrier.values(self.json)
    }

    /// Returns the trace context in the message attributes with the prefix `otel.`. Scans the
    /// attributes a second time, because only old producers send such names and a record with a
    /// `traceparent` should not pay for the lookup.
    pub(crate) fn prefixed_trace_carrier(&self) -> Option<TraceCarrier<'a>> {
        let start = self.fields.message_attributes?.get() as usize;
        let mut scanner = Scanner::within(self.json, start);
        let carrier = Carrier::read_prefixed_attributes(&mut scanner, &OF_SQS);
        Some(carrier.values(self.json))
    }

    /// The body, if it is worth looking for an SNS notification or an EventBridge event in it. Says
    /// no without decoding it.
    pub(crate) fn enveloping_body(&self) -> Option<EventText<'a>> {
        let body = self.fields.body?;
        inner::may_be_envelope(body.raw(self.json)).then(|| body.decode(self.json))?
    }

    /// `messageAttributes` as it stands in the event, for whoever passes it on whole.
    #[cfg(feature = "dead-letter-queue")]
    pub(crate) fn raw_message_attributes(&self) -> Option<&'a str> {
        let start = self.fields.message_attributes?.get() as usize;
        Some(Scanner::within(self.json, start).raw())
    }

    /// All message attributes, in the order of the event.
    pub(crate) fn message_attributes(
        &self,
    ) -> impl Iterator<Item = MessageAttribute<'a>> + use<'a> {
        Attributes::new(self.json, self.fields.message_attributes, &OF_SQS)
    }

    fn text(&self, text: Option<Text>) -> Option<EventText<'a>> {
        text?.decode(self.json)
    }
}

#[cfg(test)]
mod tests;
