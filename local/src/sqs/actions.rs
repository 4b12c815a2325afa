//! One function an action: from the request's JSON through the hub to the answer's.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::Error;
use super::hub::Hub;
use super::limits;
use super::wire::messages::BatchRequest;
use super::wire::{BatchResponse, FailedEntry};

mod queues;
mod receive;
mod send;
mod settle;

/// A request to one action.
pub(crate) struct Request<'a> {
    pub(crate) hub: &'a Arc<Hub>,
    pub(crate) body: &'a [u8],
    /// The X-Ray header of the HTTP request: AWS puts it on messages that bring none of their own.
    pub(crate) trace_header: Option<&'a str>,
}

/// Does what `action` asks for and returns the JSON of the answer.
///
/// # Errors
/// Whatever the action refuses; `UnsupportedOperation` for AWS's actions that are not offered here,
/// `UnknownOperation` for the rest.
pub(crate) async fn perform(action: &str, request: &Request<'_>) -> Result<Vec<u8>, Error> {
    match action {
        "CreateQueue" => queues::create(request),
        "GetQueueUrl" => queues::url(request),
        "ListQueues" => queues::list(request),
        "DeleteQueue" => queues::delete(request),
        "GetQueueAttributes" => queues::get_attributes(request),
        "SetQueueAttributes" => queues::set_attributes(request),
        "PurgeQueue" => queues::purge(request),
        "SendMessage" => send::single(request),
        "SendMessageBatch" => send::batch(request),
        "ReceiveMessage" => receive::receive(request).await,
        "DeleteMessage" => settle::delete(request),
        "DeleteMessageBatch" => settle::delete_batch(request),
        "ChangeMessageVisibility" => settle::change_visibility(request),
        "ChangeMessageVisibilityBatch" => settle::change_visibility_batch(request),
        "AddPermission"
        | "RemovePermission"
        | "TagQueue"
        | "UntagQueue"
        | "ListQueueTags"
        | "ListDeadLetterSourceQueues"
        | "StartMessageMoveTask"
        | "CancelMessageMoveTask"
        | "ListMessageMoveTasks" => Err(Error::UnsupportedOperation(format!(
            "{action} is not supported by this endpoint."
        ))),
        _ => Err(Error::UnknownOperation(format!(
            "The action {action} is not valid for this endpoint."
        ))),
    }
}

impl Request<'_> {
    fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        // Some clients send no body at all where every field is optional.
        let body = if self.body.is_empty() {
            b"{}"
        } else {
            self.body
        };
        serde_json::from_slice(body).map_err(|error| Error::Serialization(malformed(&error)))
    }

    /// The name in a queue URL. Host and scheme do not matter: a container may know this endpoint
    /// by another name than we do.
    fn queue_name(&self, url: Option<&str>) -> Result<String, Error> {
        let url = required(url, "QueueUrl")?;
        let mut segments = url.rsplit('/');
        let (Some(name), Some(account)) = (segments.next(), segments.next()) else {
            return Err(Error::InvalidAddress(url.to_owned()));
        };
        if name.is_empty() || account.is_empty() {
            return Err(Error::InvalidAddress(url.to_owned()));
        }
        self.own_account(account)?;
        Ok(name.to_owned())
    }

    /// A batch of any action: the name of its queue, which is there, and its entries by their ids,
    /// which are what AWS takes.
    ///
    /// `action` is the prefix of the entry's type name.
    fn batch<T: DeserializeOwned>(
        &self,
        action: &'static str,
    ) -> Result<(String, Vec<(String, T)>), Error> {
        let wanted: BatchRequest<T> = self.parse()?;
        let name = self.queue_name(wanted.queue_url.as_deref())?;
        let entries = wanted.entries.unwrap_or_default();
        let ids: Vec<&str> = entries
            .iter()
            .map(|entry| entry.id.as_deref().unwrap_or_default())
            .collect();
        limits::check_batch(action, &ids)?;
        // Before anything about single messages, as on AWS: the queue must be there.
        self.hub.with(|account, _| account.queue(&name).map(drop))?;
        let entries = entries
            .into_iter()
            .map(|entry| (entry.id.unwrap_or_default(), entry.content));
        Ok((name, entries.collect()))
    }

    /// Queues of other accounts do not exist here.
    fn own_account(&self, account: &str) -> Result<(), Error> {
        if account == self.hub.account_id() {
            Ok(())
        } else {
            Err(Error::QueueDoesNotExist)
        }
    }
}

fn answer(response: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(response).map_err(|error| {
        Error::Serialization(format!("The answer could not be written as JSON: {error}"))
    })
}

fn required<'a>(value: Option<&'a str>, name: &str) -> Result<&'a str, Error> {
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| Error::MissingParameter(name.to_owned()))
}

/// The answer of a batch action, from what became of each entry: what an entry that succeeded has
/// to say, or its id and error.
fn batch_answer<T: Serialize>(
    outcomes: impl Iterator<Item = Result<T, (String, Error)>>,
) -> Result<Vec<u8>, Error> {
    let mut response = BatchResponse {
        successful: Vec::new(),
        failed: Vec::new(),
    };
    for outcome in outcomes {
        match outcome {
            Ok(entry) => response.successful.push(entry),
            Err((id, error)) => response.failed.push(FailedEntry {
                id,
                sender_fault: true,
                code: error.naming().code,
                message: error.to_string(),
            }),
        }
    }
    answer(&response)
}

/// Where the JSON is wrong and what was expected, without quoting it: it may hold a message body.
fn malformed(error: &serde_json::Error) -> String {
    let kind = match error.classify() {
        serde_json::error::Category::Data => "has a field of the wrong type",
        serde_json::error::Category::Eof => "ends too early",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "is not JSON",
    };
    format!(
        "The request body {kind} at line {} column {}.",
        error.line(),
        error.column()
    )
}
