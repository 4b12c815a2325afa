//! `SendMessage` and `SendMessageBatch`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::json::{ActionRequest, batch_response, require, to_json};
use crate::sqs::account::{self, SendKind, SentMessage};
use crate::sqs::error::SqsError;
use crate::sqs::message::{AttributeValue, MessageAttributes, TypedAttribute};
use crate::sqs::new_message::NewMessage;
use crate::sqs::wire::messages::{
    MessageAttributeValue, SendMessageFields, SendMessageRequest, SendMessageResponse,
    SendMessageResultEntry,
};

pub(super) fn send_message(request: &ActionRequest<'_>) -> Result<Vec<u8>, SqsError> {
    let input: SendMessageRequest = request.parse()?;
    let name = request.queue_name(input.queue_url.as_deref())?;
    let accepted = send(
        request,
        &name,
        read_message(input.message)?,
        SendKind::Single,
    )?;
    to_json(&to_response(accepted))
}

pub(super) fn send_message_batch(request: &ActionRequest<'_>) -> Result<Vec<u8>, SqsError> {
    let (name, entries) = request.batch("SendMessageBatch")?;
    let messages: Vec<(String, Result<NewMessage, SqsError>)> = entries
        .into_iter()
        .map(|(id, message)| (id, read_message(message)))
        .collect();
    account::check_batch_size(
        messages
            .iter()
            .filter_map(|(_, message)| message.as_ref().ok()),
    )?;
    let outcomes = messages.into_iter().map(|(id, message)| {
        match message.and_then(|message| send(request, &name, message, SendKind::BatchEntry)) {
            Ok(accepted) => Ok(SendMessageResultEntry {
                id,
                sent: to_response(accepted),
            }),
            Err(error) => Err((id, error)),
        }
    });
    batch_response(outcomes)
}

fn send(
    request: &ActionRequest<'_>,
    name: &str,
    mut message: NewMessage,
    kind: SendKind,
) -> Result<SentMessage, SqsError> {
    message.inherited_trace_header = request
        .trace_header
        .filter(|header| !header.is_empty())
        .map(str::to_owned);
    let message = message.validate()?;
    request
        .account
        .access(|account, now| account.send(name, message, kind, now))
}

fn read_message(message: SendMessageFields) -> Result<NewMessage, SqsError> {
    Ok(NewMessage {
        body: message.message_body.unwrap_or_default(),
        attributes: read_attributes(message.message_attributes)?,
        system_attributes: read_attributes(message.message_system_attributes)?,
        inherited_trace_header: None,
        delay_seconds: message.delay_seconds,
        group_id: message.message_group_id,
        deduplication_id: message.message_deduplication_id,
    })
}

fn read_attributes(
    values: Option<BTreeMap<String, MessageAttributeValue>>,
) -> Result<MessageAttributes, SqsError> {
    values
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| Ok((name.clone(), read_attribute(&name, value)?)))
        .collect()
}

fn read_attribute(name: &str, value: MessageAttributeValue) -> Result<TypedAttribute, SqsError> {
    let some = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    if some(&value.string_list_values) || some(&value.binary_list_values) {
        let reason = "Message attribute list values in SendMessage operation are not supported.";
        return Err(SqsError::UnsupportedOperation(reason.to_owned()));
    }
    let data_type = require(
        value.data_type.as_deref(),
        &format!("MessageAttributes.{name}.DataType"),
    )?
    .to_owned();
    let value = match (value.string_value, value.binary_value) {
        (Some(text), None) => AttributeValue::Text(text),
        (None, Some(encoded)) => {
            AttributeValue::Binary(STANDARD.decode(encoded).map_err(|_| not_base64(name))?)
        }
        (None, None) => AttributeValue::Text(String::new()),
        (Some(_), Some(_)) => {
            let reason = format!(
                "Message (user) attribute '{name}' must contain one value, not a StringValue and a BinaryValue."
            );
            return Err(SqsError::InvalidParameterValue(reason));
        }
    };
    Ok(TypedAttribute { data_type, value })
}

fn not_base64(name: &str) -> SqsError {
    SqsError::Serialization(format!(
        "The BinaryValue of message attribute '{name}' is not base64."
    ))
}

fn to_response(accepted: SentMessage) -> SendMessageResponse {
    SendMessageResponse {
        message_id: accepted.message_id,
        md5_of_message_body: accepted.digests.body,
        md5_of_message_attributes: accepted.digests.attributes,
        md5_of_message_system_attributes: accepted.digests.system_attributes,
    }
}
