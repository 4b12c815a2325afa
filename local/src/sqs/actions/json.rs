//! JSON of requests and responses.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::sqs::error::SqsError;
use crate::sqs::limits;
use crate::sqs::shared_account::SharedAccount;
use crate::sqs::wire::messages::BatchRequest;
use crate::sqs::wire::{BatchResponse, BatchResultErrorEntry};

/// A request for an action.
pub(crate) struct ActionRequest<'a> {
    pub(crate) account: &'a Arc<SharedAccount>,
    pub(crate) body: &'a [u8],
    /// X-Ray header of the HTTP request. AWS adds it to messages that do not have one.
    pub(crate) trace_header: Option<&'a str>,
}

impl ActionRequest<'_> {
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T, SqsError> {
        // Some clients send no body if every field is optional.
        let body = if self.body.is_empty() {
            b"{}"
        } else {
            self.body
        };
        serde_json::from_slice(body)
            .map_err(|error| SqsError::Serialization(describe_json_error(&error)))
    }

    /// Returns the queue name in a queue URL. Scheme and host are ignored, because a container may
    /// reach this endpoint under another name.
    pub(super) fn queue_name(&self, url: Option<&str>) -> Result<String, SqsError> {
        let url = require(url, "QueueUrl")?;
        let mut segments = url.rsplit('/');
        let (Some(name), Some(account)) = (segments.next(), segments.next()) else {
            return Err(SqsError::InvalidAddress(url.to_owned()));
        };
        if name.is_empty() || account.is_empty() {
            return Err(SqsError::InvalidAddress(url.to_owned()));
        }
        self.check_account(account)?;
        Ok(name.to_owned())
    }

    /// Parses a batch request of any action. Returns the name of the queue, which exists, and the
    /// entries with their checked ids.
    ///
    /// `action` is the prefix of the entry's type name.
    pub(super) fn batch<T: DeserializeOwned>(
        &self,
        action: &'static str,
    ) -> Result<(String, Vec<(String, T)>), SqsError> {
        let input: BatchRequest<T> = self.parse()?;
        let name = self.queue_name(input.queue_url.as_deref())?;
        let entries = input.entries.unwrap_or_default();
        let ids: Vec<&str> = entries
            .iter()
            .map(|entry| entry.id.as_deref().unwrap_or_default())
            .collect();
        limits::check_batch(action, &ids)?;
        // AWS checks that the queue exists before it checks any single entry.
        self.account
            .access(|account, _| account.queue(&name).map(drop))?;
        let entries = entries
            .into_iter()
            .map(|entry| (entry.id.unwrap_or_default(), entry.content));
        Ok((name, entries.collect()))
    }

    /// Returns an error for another account, whose queues do not exist here.
    pub(super) fn check_account(&self, account: &str) -> Result<(), SqsError> {
        if account == self.account.account_id() {
            Ok(())
        } else {
            Err(SqsError::QueueDoesNotExist)
        }
    }
}

pub(super) fn to_json(response: &impl Serialize) -> Result<Vec<u8>, SqsError> {
    serde_json::to_vec(response).map_err(|error| {
        SqsError::Serialization(format!(
            "The response cannot be serialized as JSON: {error}"
        ))
    })
}

pub(super) fn require<'a>(value: Option<&'a str>, name: &str) -> Result<&'a str, SqsError> {
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| SqsError::MissingParameter(name.to_owned()))
}

/// Builds the response of a batch action from the outcome of each entry.
pub(super) fn batch_response<T: Serialize>(
    outcomes: impl Iterator<Item = Result<T, (String, SqsError)>>,
) -> Result<Vec<u8>, SqsError> {
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

/// Describes the position of an error in JSON without quoting the JSON, which may contain a message
/// body.
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
