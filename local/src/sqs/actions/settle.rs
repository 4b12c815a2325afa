//! What becomes of a received message: deleted, or hidden for longer or shorter; one by one and in
//! batches.

use super::{Request, answer, batch_answer, required};
use crate::sqs::error::Error;
use crate::sqs::wire::Empty;
use crate::sqs::wire::messages::{
    ChangeVisibilityRequest, DeleteMessageRequest, Deletion, DoneEntry, Visibility,
};

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
    let (name, entries) = request.batch::<T>(action)?;
    let outcomes = entries
        .into_iter()
        .map(|(id, entry)| match settle(request, &name, &entry) {
            Ok(()) => Ok(DoneEntry { id }),
            Err(error) => Err((id, error)),
        });
    batch_answer(outcomes)
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
