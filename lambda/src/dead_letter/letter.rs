//! What is sent, within SQS's limits: the sender's message whole, and of what we add as much as
//! there is room for.

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_sqs::types::{
    MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
};
use baton_sqs::{AddedAttributes, TextAttribute};
use baton_telemetry::{TRACEPARENT, TRACESTATE};

use crate::dead_letter::attributes::{Attached, Attribute};
use crate::dead_letter::origin::Carrier;
use crate::dead_letter::{DeadLetterError, Reason};
use crate::event::Record;

/// Most message attributes on one message (SQS quotas).
const MAX_ATTRIBUTES: usize = 10;
/// Most bytes of one message: body, and names, types and values of the attributes (SQS quotas,
/// since August 2025).
const MAX_BYTES: usize = 1_048_576;
/// Most bytes of the reason's text: several lines for whoever looks at the message, and a
/// thousandth of what SQS carries.
const MAX_TEXT_BYTES: usize = 1_024;

/// Names of what we add.
const ERROR_TYPE: &str = "baton.error.type";
const ERROR_MESSAGE: &str = "baton.error.message";
const SOURCE_QUEUE_ARN: &str = "baton.source.queue_arn";
const SOURCE_MESSAGE_ID: &str = "baton.source.message_id";
const OURS: [&str; 4] = [
    ERROR_TYPE,
    ERROR_MESSAGE,
    SOURCE_QUEUE_ARN,
    SOURCE_MESSAGE_ID,
];

/// The message as its sender sent it. Without `Debug`: its body must not get into a log by
/// accident.
pub(super) struct Letter<'a> {
    body: Cow<'a, str>,
    attached: Attached,
    trace_header: Option<String>,
    /// Message group. Optional on a standard queue (fair queues), always set on a FIFO queue.
    group_id: Option<String>,
    /// Set for FIFO queues only, because a standard queue refuses it.
    deduplication_id: Option<String>,
}

impl<'a> Letter<'a> {
    /// Reads the message out of the event.
    ///
    /// # Errors
    ///
    /// When it is not a message that SQS can have delivered.
    pub(super) fn of(record: &Record<'a>, to_fifo: bool) -> Result<Self, DeadLetterError> {
        let unsendable = DeadLetterError::Unsendable;
        let body = record.body().filter(|body| !body.is_empty());
        let mut attached = Attached::read(record.raw_message_attributes())
            .map_err(|_| unsendable("its messageAttributes are not readable"))?;
        attached
            .attributes
            .retain(|attribute| !OURS.contains(&attribute.name.as_str()));
        let filled = |text: Cow<'_, str>| Some(text.into_owned()).filter(|text| !text.is_empty());
        let group_id = record.group_id().and_then(filled);
        let (group_id, deduplication_id) = match (to_fifo, record.message_id()) {
            (false, _) => (group_id, None),
            (true, None) => return Err(unsendable("it has no messageId to deduplicate it by")),
            (true, Some(id)) => (
                Some(group_id.unwrap_or_else(|| id.to_string())),
                Some(id.into_owned()),
            ),
        };
        let letter = Self {
            body: body.ok_or(unsendable("it has no readable body"))?,
            attached,
            trace_header: record.trace_header().and_then(filled),
            group_id,
            deduplication_id,
        };
        letter.check()
    }

    fn check(self) -> Result<Self, DeadLetterError> {
        let unsendable = DeadLetterError::Unsendable;
        if self.attached.attributes.len() > MAX_ATTRIBUTES {
            return Err(unsendable("it has more attributes than SQS takes"));
        }
        if self.size() > MAX_BYTES {
            return Err(unsendable("it is larger than SQS takes"));
        }
        Ok(self)
    }

    /// Size in bytes as SQS counts it against the limit.
    pub(super) fn size(&self) -> usize {
        let attributes = self.attached.attributes.iter().map(Attribute::size);
        self.body.len() + attributes.sum::<usize>()
    }

    pub(super) fn body(&self) -> &str {
        &self.body
    }

    pub(super) fn attributes(&self) -> &[Attribute] {
        &self.attached.attributes
    }

    pub(super) fn trace_header(&self) -> Option<&str> {
        self.trace_header.as_deref()
    }

    pub(super) fn group_id(&self) -> Option<String> {
        self.group_id.clone()
    }

    pub(super) fn deduplication_id(&self) -> Option<String> {
        self.deduplication_id.clone()
    }

    /// Whether an attribute of this size can be added.
    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        self.attributes().len() < MAX_ATTRIBUTES && self.size() + bytes <= MAX_BYTES
    }

    /// Decides which attributes are added: the trace context before the reason, and the reason
    /// before the message's source.
    pub(super) fn additions(
        &self,
        carrier: Carrier,
        record: &Record<'_>,
        reason: &Reason<'_>,
    ) -> AddedAttributes {
        let text = |text: Option<Cow<'_, str>>| text.map(|text| sendable(&text));
        let ours = [
            (ERROR_TYPE, text(Some(reason.error_type.into()))),
            (ERROR_MESSAGE, text(Some(reason.description.into()))),
            (SOURCE_QUEUE_ARN, text(record.queue_arn())),
            (SOURCE_MESSAGE_ID, text(record.message_id())),
        ];
        let ours = ours
            .into_iter()
            .filter_map(|(name, text)| Some((name.to_owned(), text?)));
        AddedAttributes {
            trace_header: carrier.trace_header,
            ..self.place(carrier.fields.into_iter().chain(ours))
        }
    }

    /// Gives the free slots and bytes to `wished`, in its order.
    fn place(&self, wished: impl Iterator<Item = (String, String)>) -> AddedAttributes {
        let mut free_slots = MAX_ATTRIBUTES.saturating_sub(self.attributes().len());
        let mut free_bytes = MAX_BYTES.saturating_sub(self.size());
        let mut added = AddedAttributes {
            left_out: self.attached.unsendable.clone(),
            ..AddedAttributes::default()
        };
        for (name, value) in wished {
            // An empty value says nothing, and SQS refuses it.
            if value.is_empty() {
                continue;
            }
            // A tracestate belongs to the traceparent beside it and to no other.
            let is_orphaned =
                name == TRACESTATE && added.left_out.iter().any(|field| field == TRACEPARENT);
            let attribute = TextAttribute { name, value };
            if is_orphaned || free_slots == 0 || attribute.size() > free_bytes {
                added.left_out.push(attribute.name);
                continue;
            }
            free_slots -= 1;
            free_bytes -= attribute.size();
            if OURS.contains(&attribute.name.as_str()) {
                added.metadata.push(attribute);
            } else {
                added.context.push(attribute);
            }
        }
        added
    }

    /// The attributes that came with the message, as the SDK sends them.
    pub(super) fn wire_attributes(
        &self,
    ) -> Result<HashMap<String, MessageAttributeValue>, DeadLetterError> {
        let attributes = self.attributes().iter().cloned();
        let wire: Result<_, _> = attributes.map(Attribute::into_wire).collect();
        Ok(wire?)
    }

    /// The `AWSTraceHeader` that came with the message, as the SDK sends it.
    pub(super) fn wire_system_attributes(
        &self,
    ) -> Result<Option<SystemAttributes>, DeadLetterError> {
        let Some(header) = self.trace_header() else {
            return Ok(None);
        };
        let value = MessageSystemAttributeValue::builder()
            .data_type("String")
            .string_value(header)
            .build()?;
        let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
        Ok(Some(HashMap::from([(name, value)])))
    }
}

type SystemAttributes = HashMap<MessageSystemAttributeNameForSends, MessageSystemAttributeValue>;

/// As much of a text as a reason may have, in characters that SQS takes: those of XML 1.0.
fn sendable(text: &str) -> String {
    let mut sendable = String::with_capacity(text.len().min(MAX_TEXT_BYTES));
    for character in text.chars() {
        let character = match character {
            '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'.. => character,
            _ => char::REPLACEMENT_CHARACTER,
        };
        if sendable.len() + character.len_utf8() > MAX_TEXT_BYTES {
            break;
        }
        sendable.push(character);
    }
    sendable
}

#[cfg(test)]
mod tests;
