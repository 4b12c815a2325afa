//! The message that is sent to the dead-letter queue: the record's message unchanged, and the
//! failure in optional attributes.

use std::borrow::Cow;

use baton_sqs::{OutgoingMessage, is_accepted_character};
use baton_telemetry::parse_xray_header;

use crate::dead_letter::source_attributes::SourceAttributes;
use crate::dead_letter::{DeadLetterError, DeadLetterReason};
use crate::event::SqsRecord;

/// Maximum size of `baton.error.message` in bytes: several lines for the person who examines the
/// message, and a thousandth of what SQS accepts.
const MAX_TEXT_BYTES: usize = 1_024;

/// Names of the attributes that describe the failure, the most important first.
const ERROR_TYPE: &str = "baton.error.type";
const ERROR_MESSAGE: &str = "baton.error.message";
const SOURCE_QUEUE_ARN: &str = "baton.source.queue_arn";
const SOURCE_MESSAGE_ID: &str = "baton.source.message_id";
const FAILURE_ATTRIBUTES: [&str; 4] = [
    ERROR_TYPE,
    ERROR_MESSAGE,
    SOURCE_QUEUE_ARN,
    SOURCE_MESSAGE_ID,
];

/// Builds the message for a failed record.
///
/// # Errors
///
/// Returns an error if the record lacks a field that every message from SQS has.
pub(super) fn build(
    record: &SqsRecord<'_>,
    is_fifo: bool,
    reason: &DeadLetterReason<'_>,
) -> Result<OutgoingMessage, DeadLetterError> {
    let invalid = DeadLetterError::InvalidRecord;
    let body = record.body().filter(|body| !body.is_empty());
    let body = body.ok_or(invalid("it has no readable body"))?;
    let mut source = SourceAttributes::read(record.raw_message_attributes())?;
    // The message may have been in a dead-letter queue before.
    source
        .attributes
        .retain(|attribute| !FAILURE_ATTRIBUTES.contains(&attribute.name()));
    let mut message = OutgoingMessage::from_received(body)
        .with_attributes(source.attributes)
        .with_omitted_attributes(source.unsendable);
    if let Some(header) = record.trace_header().and_then(non_empty) {
        let span_context = parse_xray_header(&header).ok();
        message =
            message.with_trace_header(header, span_context.map(|context| context.span_context));
    }
    message = with_group(message, record, is_fifo)?;
    let failure = [
        (ERROR_TYPE, Some(reason.error_type.into())),
        (ERROR_MESSAGE, Some(reason.description.into())),
        (SOURCE_QUEUE_ARN, record.queue_arn()),
        (SOURCE_MESSAGE_ID, record.message_id()),
    ];
    for (name, text) in failure {
        if let Some(text) = text {
            message = message.with_optional_attribute(name, sanitize(&text));
        }
    }
    Ok(message)
}

/// Sets the message group and, on a FIFO queue, the deduplication id, which a standard queue
/// rejects.
fn with_group(
    message: OutgoingMessage,
    record: &SqsRecord<'_>,
    is_fifo: bool,
) -> Result<OutgoingMessage, DeadLetterError> {
    let group_id = record.group_id().and_then(non_empty);
    if !is_fifo {
        return Ok(match group_id {
            Some(group_id) => message.with_group_id(group_id),
            None => message,
        });
    }
    let id = record.message_id().ok_or(DeadLetterError::InvalidRecord(
        "it has no messageId to deduplicate it by",
    ))?;
    let group_id = group_id.unwrap_or_else(|| id.to_string());
    Ok(message.with_group_id(group_id).with_deduplication_id(id))
}

fn non_empty(text: Cow<'_, str>) -> Option<String> {
    Some(text.into_owned()).filter(|text| !text.is_empty())
}

/// Cuts a text to its maximum size and replaces characters that SQS does not accept.
fn sanitize(text: &str) -> String {
    let mut sanitized = String::with_capacity(text.len().min(MAX_TEXT_BYTES));
    for character in text.chars() {
        let character = if is_accepted_character(character) {
            character
        } else {
            char::REPLACEMENT_CHARACTER
        };
        if sanitized.len() + character.len_utf8() > MAX_TEXT_BYTES {
            break;
        }
        sanitized.push(character);
    }
    sanitized
}

#[cfg(test)]
mod tests;
