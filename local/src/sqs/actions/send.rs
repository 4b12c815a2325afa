//! `SendMessage` and its batch form.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Request, answer, failed, required};
use crate::sqs::account::{self, Accepted, SentAs};
use crate::sqs::draft::Draft;
use crate::sqs::error::Error;
use crate::sqs::limits;
use crate::sqs::message::{Attribute, Attributes, Value};
use crate::sqs::wire::BatchResponse;
use crate::sqs::wire::messages::{
    AttributeValue, BatchRequest, SendMessageRequest, SentEntry, SentMessage, SentResponse,
};

pub(super) fn single(request: &Request<'_>) -> Result<Vec<u8>, Error> {
    let wanted: SendMessageRequest = request.parse()?;
    let name = request.queue_name(wanted.queue_url.as_deref())?;
    let accepted = send(request, &name, draft(wanted.message)?, SentAs::Single)?;
    answer(&sent(accepted))
}

pub(super) fn batch(request: &Request<'_>) -> Result<Vec<u8>, Error> {
    let wanted: BatchRequest<SentMessage> = request.parse()?;
    let name = request.queue_name(wanted.queue_url.as_deref())?;
    let entries = wanted.entries.unwrap_or_default();
    let ids: Vec<&str> = entries
        .iter()
        .map(|entry| entry.id.as_deref().unwrap_or_default())
        .collect();
    limits::check_batch("SendMessageBatch", &ids)?;
    // Before anything about single messages, as on AWS: the queue must be there.
    request
        .hub
        .with(|account, _| account.queue(&name).map(drop))?;
    let drafts: Vec<(String, Result<Draft, Error>)> = entries
        .into_iter()
        .map(|entry| (entry.id.unwrap_or_default(), draft(entry.content)))
        .collect();
    account::check_batch_size(drafts.iter().filter_map(|(_, draft)| draft.as_ref().ok()))?;
    let mut response = BatchResponse {
        successful: Vec::new(),
        failed: Vec::new(),
    };
    for (id, draft) in drafts {
        match draft.and_then(|draft| send(request, &name, draft, SentAs::BatchEntry)) {
            Ok(accepted) => response.successful.push(SentEntry {
                id,
                sent: sent(accepted),
            }),
            Err(error) => response.failed.push(failed(id, &error)),
        }
    }
    answer(&response)
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
