//! What becomes of a received message: deleted, or hidden for longer or shorter; one by one and in batches.

use super::{Request, answer, failed, required};
use crate::sqs::error::Error;
use crate::sqs::limits;
use crate::sqs::wire::messages::{
    BatchRequest, ChangeVisibilityRequest, DeleteMessageRequest, Deletion, DoneEntry, Visibility,
};
use crate::sqs::wire::{BatchResponse, Empty};

pub(super) fn delete(request: &Request<'_>) -> Result<Vec<u8>, Error> {
    let wanted: DeleteMessageRequest = request.parse()?;
    let name = request.queue_name(wanted.queue_url.as_deref())?;
    delete_one(request, &name, &wanted.deletion)?;
    answer(&Empty {})
}

pub(super) fn delete_batch(request: &Request<'_>) -> Result<Vec<u8>, Error> {
    batch(request, "DeleteMessageBatch", delete_one)
}

pub(super) fn change_visibility(request: &Request<'_>) -> Result<Vec<u8>, Error> {
    let wanted: ChangeVisibilityRequest = request.parse()?;
    let name = request.queue_name(wanted.queue_url.as_deref())?;
    change_one(request, &name, &wanted.visibility)?;
    answer(&Empty {})
}

pub(super) fn change_visibility_batch(request: &Request<'_>) -> Result<Vec<u8>, Error> {
    batch(request, "ChangeMessageVisibilityBatch", change_one)
}

fn batch<T: serde::de::DeserializeOwned>(
    request: &Request<'_>,
    action: &'static str,
    settle: fn(&Request<'_>, &str, &T) -> Result<(), Error>,
) -> Result<Vec<u8>, Error> {
    let wanted: BatchRequest<T> = request.parse()?;
    let name = request.queue_name(wanted.queue_url.as_deref())?;
    let entries = wanted.entries.unwrap_or_default();
    let ids: Vec<&str> = entries
        .iter()
        .map(|entry| entry.id.as_deref().unwrap_or_default())
        .collect();
    limits::check_batch(action, &ids)?;
    request
        .hub
        .with(|account, _| account.queue(&name).map(drop))?;
    let mut response = BatchResponse {
        successful: Vec::new(),
        failed: Vec::new(),
    };
    for entry in entries {
        let id = entry.id.unwrap_or_default();
        match settle(request, &name, &entry.content) {
            Ok(()) => response.successful.push(DoneEntry { id }),
            Err(error) => response.failed.push(failed(id, &error)),
        }
    }
    answer(&response)
}

fn delete_one(request: &Request<'_>, name: &str, wanted: &Deletion) -> Result<(), Error> {
    let handle = required(wanted.receipt_handle.as_deref(), "ReceiptHandle")?;
    request
        .hub
        .with(|account, now| account.delete(name, handle, now))
}

fn change_one(request: &Request<'_>, name: &str, wanted: &Visibility) -> Result<(), Error> {
    let handle = required(wanted.receipt_handle.as_deref(), "ReceiptHandle")?;
    let timeout = wanted
        .visibility_timeout
        .ok_or_else(|| Error::MissingParameter("VisibilityTimeout".to_owned()))?;
    request
        .hub
        .with(|account, now| account.change_visibility(name, handle, timeout, now))
}
