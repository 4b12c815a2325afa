//! Positions of the fields of one record, found in one pass.

use std::num::NonZeroU32;

use super::attributes::{SQS_NAMES, enter_object, read_string_or_skip};
use super::carrier::CarrierFields;
use super::invalid::InvalidEvent;
use super::scanner::{JsonKind, Scanner};
use super::source::EventSource;
use super::string::JsonString;

/// Suffix of the names of all FIFO queues, and of no other queues.
const FIFO_SUFFIX: &str = ".fifo";

/// Fields of a record. A batch can have 10,000 records, so this type stores positions and not
/// strings, and numbers that every invocation reads are parsed already.
#[derive(Debug, Default)]
pub(super) struct SqsRecordFields {
    pub(super) message_id: Option<JsonString>,
    pub(super) receipt_handle: Option<JsonString>,
    pub(super) body: Option<JsonString>,
    pub(super) queue_arn: Option<JsonString>,
    pub(super) group_id: Option<JsonString>,
    pub(super) trace_header: Option<JsonString>,
    /// Position of the object `messageAttributes`.
    pub(super) message_attributes: Option<NonZeroU32>,
    pub(super) carrier: CarrierFields,
    pub(super) receive_count: Option<u32>,
    pub(super) sent_timestamp: Option<u64>,
    pub(super) is_fifo: bool,
}

/// The fields of a record that have been read so far.
#[derive(Debug, Default)]
struct FieldTracker {
    /// Bit set of field numbers.
    seen: u8,
    source: EventSource,
}

impl FieldTracker {
    fn check_unique(
        &mut self,
        index: usize,
        field: &'static str,
        number: u8,
    ) -> Result<(), InvalidEvent> {
        // The fields are numbered from 0 to 6, so the bits of a `u8` suffice.
        let bit = 1 << number;
        if self.seen & bit != 0 {
            return Err(InvalidEvent::DuplicateField { index, field });
        }
        self.seen |= bit;
        Ok(())
    }
}

impl SqsRecordFields {
    /// Reads the next value as a record. Validates it completely, so that reading a field later
    /// cannot fail.
    pub(super) fn read(scanner: &mut Scanner<'_>, index: usize) -> Result<Self, InvalidEvent> {
        if scanner.peek_kind() != JsonKind::Object {
            scanner.skip();
            return Err(InvalidEvent::RecordNotObject { index });
        }
        scanner.enter();
        let mut fields = Self::default();
        let mut tracker = FieldTracker::default();
        while let Some(key) = scanner.next_key() {
            match key.plain_text(scanner.json()) {
                Some(name) => fields.read_field(scanner, name, index, &mut tracker)?,
                // AWS does not escape names, but an escaped name is the same name in JSON.
                None => match key.decode(scanner.json()) {
                    Some(name) => fields.read_field(scanner, &name, index, &mut tracker)?,
                    None => scanner.skip(),
                },
            }
        }
        if tracker.source != EventSource::Sqs {
            return Err(InvalidEvent::WrongSource {
                index,
                source_field: tracker.source,
            });
        }
        fields.is_fifo = fields
            .queue_arn
            .and_then(|arn| arn.decode(scanner.json()))
            .is_some_and(|arn| arn.ends_with(FIFO_SUFFIX));
        Ok(fields)
    }

    fn read_field(
        &mut self,
        scanner: &mut Scanner<'_>,
        name: &str,
        index: usize,
        tracker: &mut FieldTracker,
    ) -> Result<(), InvalidEvent> {
        let (name, number, field) = match name {
            "messageId" => ("messageId", 0, &mut self.message_id),
            "receiptHandle" => ("receiptHandle", 1, &mut self.receipt_handle),
            "body" => ("body", 2, &mut self.body),
            "eventSourceARN" => ("eventSourceARN", 3, &mut self.queue_arn),
            "attributes" => {
                tracker.check_unique(index, "attributes", 4)?;
                self.read_system_attributes(scanner);
                return Ok(());
            }
            "messageAttributes" => {
                tracker.check_unique(index, "messageAttributes", 5)?;
                self.read_message_attributes(scanner);
                return Ok(());
            }
            "eventSource" => {
                tracker.check_unique(index, "eventSource", 6)?;
                tracker.source = EventSource::read(scanner);
                return Ok(());
            }
            "EventSource" => {
                // Not checked for duplicates, because this name only makes the error about a
                // missing `eventSource` clearer.
                tracker.source.read_capitalised(scanner);
                return Ok(());
            }
            _ => {
                scanner.skip();
                return Ok(());
            }
        };
        tracker.check_unique(index, name, number)?;
        *field = match scanner.peek_kind() {
            JsonKind::String => scanner.read_string(),
            JsonKind::Null => {
                scanner.skip();
                None
            }
            _ => {
                scanner.skip();
                return Err(InvalidEvent::FieldNotString { index, field: name });
            }
        };
        Ok(())
    }

    /// Reads `attributes`, whose values are all strings. If a name occurs several times, the last
    /// value is used, as in any JSON object.
    fn read_system_attributes(&mut self, scanner: &mut Scanner<'_>) {
        if !enter_object(scanner) {
            return;
        }
        while let Some(key) = scanner.next_key() {
            let json = scanner.json();
            match key.decode(json).as_deref() {
                Some("ApproximateReceiveCount") => {
                    self.receive_count = parse_number(json, read_string_or_skip(scanner));
                }
                Some("SentTimestamp") => {
                    self.sent_timestamp = parse_number(json, read_string_or_skip(scanner));
                }
                Some("MessageGroupId") => self.group_id = read_string_or_skip(scanner),
                Some("AWSTraceHeader") => self.trace_header = read_string_or_skip(scanner),
                _ => scanner.skip(),
            }
        }
    }

    fn read_message_attributes(&mut self, scanner: &mut Scanner<'_>) {
        // Each record needs its trace context, so it is found in this pass. Only some handlers read
        // the other attributes, and for them the position is enough.
        self.message_attributes = scanner.object_start();
        self.carrier = CarrierFields::read_attributes(scanner, &SQS_NAMES);
    }
}

fn parse_number<T: std::str::FromStr>(json: &str, text: Option<JsonString>) -> Option<T> {
    text?.decode(json)?.parse().ok()
}
