//! One function an action: from the request's JSON through the account to the answer's.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::Error;
use super::limits;
use super::shared_account::SharedAccount;
use super::wire::messages::BatchRequest;
use super::wire::{BatchResponse, BatchResultErrorEntry};

mod queues;
mod receipt_handle;
mod receive;
mod send;

/// A request to one action.
pub(crate) struct ActionRequest<'a> {
    pub(crate) account: &'a Arc<SharedAccount>,
    pub(crate) body: &'a [u8],
    /// The X-Ray header of the HTTP request: AWS puts it on messages that bring none of their own.
    pub(crate) trace_header: Option<&'a str>,
}

/// Does what `action` asks for and returns the JSON of the answer.
///
/// # Errors
/// Whatever the action refuses; `UnsupportedOperation` for AWS's actions that are not offered here,
/// `UnknownOperation` for the rest.
pub(crate) async fn dispatch(action: &str, request: &ActionRequest<'_>) -> Result<Vec<u8>, Error> {
    match action {
        "CreateQueue" => queues::create_queue(request),
        "GetQueueUrl" => queues::get_queue_url(request),
        "ListQueues" => queues::list_queues(request),
        "DeleteQueue" => queues::delete_queue(request),
        "GetQueueAttributes" => queues::get_queue_attributes(request),
        "SetQueueAttributes" => queues::set_queue_attributes(request),
        "PurgeQueue" => queues::purge_queue(request),
        "SendMessage" => send::send_message(request),
        "SendMessageBatch" => send::send_message_batch(request),
        "ReceiveMessage" => receive::receive_message(request).await,
        "DeleteMessage" => receipt_handle::delete_message(request),
        "DeleteMessageBatch" => receipt_handle::delete_message_batch(request),
        "ChangeMessageVisibility" => receipt_handle::change_message_visibility(request),
        "ChangeMessageVisibilityBatch" => receipt_handle::change_message_visibility_batch(request),
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

impl ActionRequest<'_> {
    fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        // Some clients send no body at all where every field is optional.
        let body = if self.body.is_empty() {
            b"{}"
        } else {
            self.body
        };
        serde_json::from_slice(body)
            .map_err(|error| Error::Serialization(describe_json_error(&error)))
    }

    /// The name in a queue URL. Host and scheme do not matter: a container may know this endpoint
    /// by another name than we do.
    fn queue_name(&self, url: Option<&str>) -> Result<String, Error> {
        let url = require(url, "QueueUrl")?;
        let mut segments = url.rsplit('/');
        let (Some(name), Some(account)) = (segments.next(), segments.next()) else {
            return Err(Error::InvalidAddress(url.to_owned()));
        };
        if name.is_empty() || account.is_empty() {
            return Err(Error::InvalidAddress(url.to_owned()));
        }
        self.check_account(account)?;
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
        let input: BatchRequest<T> = self.parse()?;
        let name = self.queue_name(input.queue_url.as_deref())?;
        let entries = input.entries.unwrap_or_default();
        let ids: Vec<&str> = entries
            .iter()
            .map(|entry| entry.id.as_deref().unwrap_or_default())
            .collect();
        limits::check_batch(action, &ids)?;
        // Before anything about single messages, as on AWS: the queue must be there.
        self.account
            .access(|account, _| account.queue(&name).map(drop))?;
        let entries = entries
            .into_iter()
            .map(|entry| (entry.id.unwrap_or_default(), entry.content));
        Ok((name, entries.collect()))
    }

    /// Queues of other accounts do not exist here.
    fn check_account(&self, account: &str) -> Result<(), Error> {
        if account == self.account.account_id() {
            Ok(())
        } else {
            Err(Error::QueueDoesNotExist)
        }
    }
}

fn to_json(response: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(response).map_err(|error| {
        Error::Serialization(format!("The answer could not be written as JSON: {error}"))
    })
}

fn require<'a>(value: Option<&'a str>, name: &str) -> Result<&'a str, Error> {
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| Error::MissingParameter(name.to_owned()))
}

/// The answer of a batch action, from what became of each entry: what an entry that succeeded has
/// to say, or its id and error.
fn batch_response<T: Serialize>(
    outcomes: impl Iterator<Item = Result<T, (String, Error)>>,
) -> Result<Vec<u8>, Error> {
    let mut response = BatchResponse {
        successful: Vec::new(),
        failed: Vec::new(),
    };
    for outcome in outcomes {
        match outcome {
            Ok(entry) => response.successful.push(entry),
            Err((id, error)) => response.failed.push(BatchResultErrorEntry {
                id,
                sender_fault: true,
                code: error.codes().code,
                message: error.to_string(),
            }),
        }
    }
    to_json(&response)
}

/// Where the JSON is wrong and what was expected, without quoting it: it may hold a message body.
fn describe_json_error(error: &serde_json::Error) -> String {
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
