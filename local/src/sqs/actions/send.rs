//! `SendMessage` and its batch form.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Request, answer, batch_answer, required};
use crate::sqs::account::{self, Accepted, SentAs};
use crate::sqs::draft::Draft;
use crate::sqs::error::Error;
use crate::sqs::message::{Attribute, Attributes, Value};
use crate::sqs::wire::messages::{
    AttributeValue, SendMessageRequest, SentEntry, SentMessage, SentResponse,
};

pub(super) fn single(request: &Request<'_>) -> Result<Vec<u8>, Error> {
    let wanted: SendMessageRequest = request.parse()?;
    let name = request.queue_name(wanted.queue_url.as_deref())?;
    let accepted = send(request, &name, draft(wanted.message)?, SentAs::Single)?;
    answer(&sent(accepted))
}

pub(super) fn batch(request: &Request<'_>) -> Result<Vec<u8>, Error> {
    let (name, entries) = request.batch("SendMessageBatch")?;
    let drafts: Vec<(String, Result<Draft, Error>)> = entries
        .into_iter()
        .map(|(id, message)| (id, draft(message)))
        .collect();
    account::check_batch_size(drafts.iter().filter_map(|(_, draft)| draft.as_ref().ok()))?;
    let outcomes = drafts.into_iter().map(|(id, draft)| {
        match draft.and_then(|draft| send(request, &name, draft, SentAs::BatchEntry)) {
            Ok(accepted) => Ok(SentEntry {
                id,
                sent: sent(accepted),
            }),
            Err(error) => Err((id, error)),
        }
    });
    batch_answer(outcomes)
}

fn send(
    request: &Request<'_>,
    name: &str,
    mut draft: Draft,
    sent_as: SentAs,
) -> Result<Accepted, Error> {
    draft.inherited_trace_header = request
        .trace_header
        .filter(|header| !header.is_empty())
        .map(str::to_owned);
    let message = draft.check()?;
    request
        .hub
        .with(|account, now| account.send(name, message, sent_as, now))
}

fn draft(message: SentMessage) -> Result<Draft, Error> {
    Ok(Draft {
        body: message.message_body.unwrap_or_default(),
        attributes: attributes(message.message_attributes)?,
        system_attributes: attributes(message.message_system_attributes)?,
        inherited_trace_header: None,
        delay_seconds: message.delay_seconds,
        group_id: message.message_group_id,
        deduplication_id: message.message_deduplication_id,
    })
}

fn attributes(values: Option<BTreeMap<String, AttributeValue>>) -> Result<Attributes, Error> {
    values
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| Ok((name.clone(), attribute(&name, value)?)))
        .collect()
}

fn attribute(name: &str, value: AttributeValue) -> Result<Attribute, Error> {
    let some = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    if some(&value.string_list_values) || some(&value.binary_list_values) {
        let reason = "Message attribute list values in SendMessage operation are not supported.";
        return Err(Error::UnsupportedOperation(reason.to_owned()));
    }
    let data_type = required(
        value.data_type.as_deref(),
        &format!("MessageAttributes.{name}.DataType"),
    )?
    .to_owned();
    let value = match (value.string_value, value.binary_value) {
        (Some(text), None) => Value::Text(text),
        (None, Some(encoded)) => {
            Value::Binary(STANDARD.decode(encoded).map_err(|_| not_base64(name))?)
        }
        (None, None) => Value::Text(String::new()),
        (Some(_), Some(_)) => {
            let reason = format!(
                "Message (user) attribute '{name}' must contain one value, not a StringValue and a BinaryValue."
            );
            return Err(Error::InvalidParameterValue(reason));
        }
    };
    Ok(Attribute { data_type, value })
}

fn not_base64(name: &str) -> Error {
    Error::Serialization(format!(
        "The BinaryValue of message attribute '{name}' is not base64."
    ))
}

fn sent(accepted: Accepted) -> SentResponse {
    SentResponse {
        message_id: accepted.message_id,
        md5_of_message_body: accepted.digests.body,
        md5_of_message_attributes: accepted.digests.attributes,
        md5_of_message_system_attributes: accepted.digests.system_attributes,
    }
}
