//! One record, read in one pass: what is always needed is read, of the rest only the place is kept.

use std::num::NonZeroU32;

use super::attributes::{self, OF_SQS};
use super::carrier::Carrier;
use super::invalid::{InvalidEvent, Source};
use super::scan::{Kind, Scanner};
use super::text::Text;

/// What `eventSource` must be.
pub(super) const EVENT_SOURCE: &str = "aws:sqs";
/// How the names of FIFO queues end, and of no others.
const FIFO_SUFFIX: &str = ".fifo";

/// A record of the event. Kept small, because a batch can have 10,000: positions instead of texts,
/// and no text is decoded before somebody asks for it.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) message_id: Option<Text>,
    pub(super) receipt_handle: Option<Text>,
    pub(super) body: Option<Text>,
    pub(super) queue_arn: Option<Text>,
    pub(super) group_id: Option<Text>,
    pub(super) trace_header: Option<Text>,
    /// Where the object begins.
    pub(super) message_attributes: Option<NonZeroU32>,
    pub(super) carrier: Carrier,
    pub(super) receive_count: Option<u32>,
    pub(super) sent_timestamp: Option<u64>,
    pub(super) is_fifo: bool,
}

/// Which fields of a record have been seen: a record that gives one twice does not say which of
/// them counts.
#[derive(Debug, Default)]
struct Seen {
    fields: u8,
    source: Source,
}

impl Seen {
    fn once(&mut self, index: usize, field: &'static str, number: u8) -> Result<(), InvalidEvent> {
        let bit = 1 << number;
        if self.fields & bit != 0 {
            return Err(InvalidEvent::Twice { index, field });
        }
        self.fields |= bit;
        Ok(())
    }
}

impl Fields {
    /// Reads the record that is next. Checks what every record must be, so that asking for a field
    /// later cannot fail.
    pub(super) fn read(scanner: &mut Scanner<'_>, index: usize) -> Result<Self, InvalidEvent> {
        if scanner.kind() != Kind::Object {
            scanner.skip();
            return Err(InvalidEvent::Record { index });
        }
        scanner.enter();
        let mut fields = Self::default();
        let mut seen = Seen::default();
        while let Some(key) = scanner.key() {
            match key.verbatim(scanner.json()) {
                Some(name) => fields.read_field(scanner, name, index, &mut seen)?,
                // Names with escapes are AWS's no more than names with typing errors, but JSON says
                // that they are the same.
                None => match key.decode(scanner.json()) {
                    Some(name) => fields.read_field(scanner, &name, index, &mut seen)?,
                    None => scanner.skip(),
                },
            }
        }
        seen.source.check(index)?;
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
        seen: &mut Seen,
    ) -> Result<(), InvalidEvent> {
        let (field, number, slot) = match name {
            "messageId" => ("messageId", 0, &mut self.message_id),
            "receiptHandle" => ("receiptHandle", 1, &mut self.receipt_handle),
            "body" => ("body", 2, &mut self.body),
            "eventSourceARN" => ("eventSourceARN", 3, &mut self.queue_arn),
            "attributes" => {
                seen.once(index, "attributes", 4)?;
                attributes::read_system(scanner, self);
                return Ok(());
            }
            "messageAttributes" => {
                seen.once(index, "messageAttributes", 5)?;
                self.read_message_attributes(scanner);
                return Ok(());
            }
            "eventSource" => {
                seen.once(index, "eventSource", 6)?;
                seen.source = Source::read(scanner);
                return Ok(());
            }
            "EventSource" => {
                seen.source.read_elsewhere(scanner);
                return Ok(());
            }
            _ => {
                scanner.skip();
                return Ok(());
            }
        };
        seen.once(index, field, number)?;
        *slot = match scanner.kind() {
            Kind::Text => scanner.text(),
            Kind::Null => {
                scanner.skip();
                None
            }
            _ => {
                scanner.skip();
                return Err(InvalidEvent::Field { index, field });
            }
        };
        Ok(())
    }

    fn read_message_attributes(&mut self, scanner: &mut Scanner<'_>) {
        self.message_attributes = scanner.object_start();
        self.carrier = Carrier::read_attributes(scanner, &OF_SQS);
    }
}
