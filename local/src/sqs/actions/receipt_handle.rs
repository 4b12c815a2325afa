//! Actions that take a receipt handle: `DeleteMessage`, `ChangeMessageVisibility`, and their batch
//! forms.

use super::json::{ActionRequest, batch_response, require, to_json};
use crate::sqs::error::SqsError;
use crate::sqs::wire::EmptyResponse;
use crate::sqs::wire::messages::{
    BatchResultEntry, ChangeVisibilityFields, ChangeVisibilityRequest, DeleteMessageFields,
    DeleteMessageRequest,
};

pub(super) fn delete_message(request: &ActionRequest<'_>) -> Result<Vec<u8>, SqsError> {
    let input: DeleteMessageRequest = request.parse()?;
    let name = request.queue_name(input.queue_url.as_deref())?;
    delete_one(request, &name, &input.deletion)?;
    to_json(&EmptyResponse {})
}

pub(super) fn delete_message_batch(request: &ActionRequest<'_>) -> Result<Vec<u8>, SqsError> {
    perform_batch(request, "DeleteMessageBatch", delete_one)
}

pub(super) fn change_message_visibility(request: &ActionRequest<'_>) -> Result<Vec<u8>, SqsError> {
    let input: ChangeVisibilityRequest = request.parse()?;
    let name = request.queue_name(input.queue_url.as_deref())?;
    change_one(request, &name, &input.visibility)?;
    to_json(&EmptyResponse {})
}

pub(super) fn change_message_visibility_batch(
    request: &ActionRequest<'_>,
) -> Result<Vec<u8>, SqsError> {
    perform_batch(request, "ChangeMessageVisibilityBatch", change_one)
}

fn perform_batch<T: serde::de::DeserializeOwned>(
    request: &ActionRequest<'_>,
    action: &'static str,
    perform: fn(&ActionRequest<'_>, &str, &T) -> Result<(), SqsError>,
) -> Result<Vec<u8>, SqsError> {
    let (name, entries) = request.batch::<T>(action)?;
    let outcomes = entries
        .into_iter()
        .map(|(id, entry)| match perform(request, &name, &entry) {
            Ok(()) => Ok(BatchResultEntry { id }),
            Err(error) => Err((id, error)),
        });
    batch_response(outcomes)
}

fn delete_one(
    request: &ActionRequest<'_>,
    name: &str,
    input: &DeleteMessageFields,
) -> Result<(), SqsError> {
    let handle = require(input.receipt_handle.as_deref(), "ReceiptHandle")?;
    request
        .account
        .access(|account, now| account.delete(name, handle, now))
}

fn change_one(
    request: &ActionRequest<'_>,
    name: &str,
    input: &ChangeVisibilityFields,
) -> Result<(), SqsError> {
    let handle = require(input.receipt_handle.as_deref(), "ReceiptHandle")?;
    let timeout = input
        .visibility_timeout
        .ok_or_else(|| SqsError::MissingParameter("VisibilityTimeout".to_owned()))?;
    request
        .account
        .access(|account, now| account.change_visibility(name, handle, timeout, now))
}
