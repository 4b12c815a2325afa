//! The SQS event, read from the payload without copying it.
//!
//! `aws_lambda_events` builds two maps and a dozen strings for every record, a seventh of a whole invocation. Here a record is a handful
//! of positions in the payload, and what is behind them is read when somebody asks.

mod attributes;

pub(crate) use attributes::{MessageAttribute, TraceCarrier};

use attributes::{Lookup, SystemAttributes};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::ops::Range;

/// Why a payload is not an SQS event. Names the field; never repeats a value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidEvent {
    /// No `Records`, or something in it that no version of the event has.
    #[error(
        "the event is not what an SQS event source mapping sends: {category} at line {line} column {column}"
    )]
    Shape {
        /// What kind of error it is: of syntax, or of data.
        category: &'static str,
        /// Line of the payload, from 1.
        line: usize,
        /// Column of the line, from 1.
        column: usize,
    },
    /// A record that is not from SQS.
    #[error("Records[{index}].eventSource is not aws:sqs")]
    Source {
        /// Position in the batch, from 0.
        index: usize,
    },
    /// A field of a record that has to be a string.
    #[error("Records[{index}].{field} is not a string")]
    Field {
        /// Position in the batch, from 0.
        index: usize,
        /// Name as in the event.
        field: &'static str,
    },
}

/// What `eventSource` must be.
const EVENT_SOURCE: &str = "aws:sqs";

#[derive(Deserialize)]
struct RawEvent<'a> {
    #[serde(borrow, rename = "Records")]
    records: Vec<RawRecord<'a>>,
}

/// Everything is optional: what is missing matters only to whoever needs it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRecord<'a> {
    #[serde(borrow)]
    message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    receipt_handle: Option<&'a RawValue>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    #[serde(borrow)]
    attributes: Option<&'a RawValue>,
    #[serde(borrow)]
    message_attributes: Option<&'a RawValue>,
    #[serde(borrow)]
    event_source: Option<&'a RawValue>,
    #[serde(borrow, rename = "eventSourceARN")]
    event_source_arn: Option<&'a RawValue>,
}

/// The payload of one invocation.
#[derive(Debug)]
pub(crate) struct Batch {
    payload: Box<RawValue>,
    records: Vec<Positions>,
}

/// A JSON value's place in the payload. Lambda's payloads are far below 4 GiB.
type Position = Range<u32>;

#[derive(Debug)]
struct Positions {
    message_id: Option<Position>,
    receipt_handle: Option<Position>,
    body: Option<Position>,
    attributes: Option<Position>,
    message_attributes: Option<Position>,
    event_source_arn: Option<Position>,
}

impl Batch {
    pub(crate) fn parse(payload: Box<RawValue>) -> Result<Self, InvalidEvent> {
        let text = payload.get();
        let event: RawEvent<'_> = serde_json::from_str(text).map_err(|error| shape(&error))?;
        let records = event
            .records
            .iter()
            .enumerate()
            .map(|(index, record)| record.positions(index, text))
            .collect::<Result<_, _>>()?;
        Ok(Self { payload, records })
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn record(&self, index: usize) -> Record<'_> {
        Record {
            text: self.payload.get(),
            positions: &self.records[index],
        }
    }

    pub(crate) fn records(&self) -> impl ExactSizeIterator<Item = Record<'_>> {
        (0..self.len()).map(|index| self.record(index))
    }
}

impl RawRecord<'_> {
    /// Checks what every record must be, so that reading it later cannot fail.
    fn positions(&self, index: usize, text: &str) -> Result<Positions, InvalidEvent> {
        let source = self.event_source.map(|source| string(source.get()));
        if source.flatten().is_none_or(|source| source != EVENT_SOURCE) {
            return Err(InvalidEvent::Source { index });
        }
        for (field, value) in [
            ("messageId", self.message_id),
            ("receiptHandle", self.receipt_handle),
            ("body", self.body),
            ("eventSourceARN", self.event_source_arn),
        ] {
            if value.is_some_and(|value| !value.get().starts_with('"')) {
                return Err(InvalidEvent::Field { index, field });
            }
        }
        let position = |value: Option<&RawValue>| value.map(|value| position(text, value.get()));
        Ok(Positions {
            message_id: position(self.message_id),
            receipt_handle: position(self.receipt_handle),
            body: position(self.body),
            attributes: position(self.attributes),
            message_attributes: position(self.message_attributes),
            event_source_arn: position(self.event_source_arn),
        })
    }
}

/// Where a borrowed part of `text` begins and ends in it.
fn position(text: &str, part: &str) -> Position {
    let start = part.as_ptr().addr() - text.as_ptr().addr();
    start as u32..(start + part.len()) as u32
}

/// `serde_json` repeats values in its messages, and a payload holds bodies: only the place is kept.
fn shape(error: &serde_json::Error) -> InvalidEvent {
    InvalidEvent::Shape {
        category: match error.classify() {
            serde_json::error::Category::Data => "unexpected data",
            _ => "invalid JSON",
        },
        line: error.line(),
        column: error.column(),
    }
}

/// A JSON string's text; borrowed unless it has escapes. `None` if it is none.
fn string(json: &str) -> Option<Cow<'_, str>> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') {
        return serde_json::from_str(json).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inside))
}

/// One message of the batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    text: &'a str,
    positions: &'a Positions,
}

impl<'a> Record<'a> {
    /// Never empty: AWS takes an empty identifier as the failure of the whole batch.
    pub(crate) fn message_id(&self) -> Option<Cow<'a, str>> {
        self.string(&self.positions.message_id)
            .filter(|id| !id.is_empty())
    }

    pub(crate) fn receipt_handle(&self) -> Option<Cow<'a, str>> {
        self.string(&self.positions.receipt_handle)
    }

    pub(crate) fn body(&self) -> Option<Cow<'a, str>> {
        self.string(&self.positions.body)
    }

    pub(crate) fn queue_arn(&self) -> Option<Cow<'a, str>> {
        self.string(&self.positions.event_source_arn)
    }

    /// The attributes that SQS itself sets. Ones that cannot be read count as absent.
    pub(crate) fn system_attributes(&self) -> SystemAttributes<'a> {
        let json = self.json(&self.positions.attributes);
        json.and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default()
    }

    /// The trace context among the message attributes.
    pub(crate) fn trace_carrier(&self) -> TraceCarrier<'a> {
        let json = self.json(&self.positions.message_attributes);
        json.and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default()
    }

    pub(crate) fn message_attribute(&self, name: &str) -> Option<MessageAttribute<'a>> {
        Lookup(name).find(self.json(&self.positions.message_attributes)?)
    }

    /// `attributes` and `messageAttributes` as they stand in the event, for whoever passes them on whole.
    #[cfg(feature = "dead-letter-queue")]
    pub(crate) fn attribute_maps(&self) -> (Option<&'a str>, Option<&'a str>) {
        let positions = self.positions;
        (
            self.json(&positions.attributes),
            self.json(&positions.message_attributes),
        )
    }

    fn json(&self, position: &Option<Position>) -> Option<&'a str> {
        let Range { start, end } = position.clone()?;
        Some(&self.text[start as usize..end as usize])
    }

    fn string(&self, position: &Option<Position>) -> Option<Cow<'a, str>> {
        string(self.json(position)?)
    }
}

#[cfg(test)]
mod tests;
