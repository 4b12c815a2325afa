//! The `SendMessageBatch` call, and the result of each of its messages.

use std::sync::Arc;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{BuildError, SdkError};
use aws_sdk_sqs::operation::RequestId as _;
use aws_sdk_sqs::operation::send_message_batch::SendMessageBatchOutput;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, SendMessageBatchRequestEntry, SendMessageBatchResultEntry,
};
use tokio::time::Instant;

use super::entry::{Confirmation, Entry};
use crate::error::{QueueError, QueueSendError};
use crate::error_type;
use crate::limits::MAX_BATCH_MESSAGES;
use crate::queue::QueueUrl;
use crate::rejection::Rejection;
use crate::sdk_request::SdkAttributes;
use crate::send_output::SendOutput;

/// Ids of the entries of a call, which must be distinct within it.
const ENTRY_IDS: [&str; MAX_BATCH_MESSAGES] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// The result of one message of a call.
#[derive(Debug)]
pub(super) enum EntryResult {
    /// SQS accepted the message. The result is an error if its response is not usable.
    Accepted(Result<Confirmation, QueueSendError>),
    Failed(EntryFailure),
}

/// The failure of one message of a call.
#[derive(Debug, Clone)]
pub(super) struct EntryFailure {
    pub(super) error: QueueError,
    /// The rejection, if the content of the message may have caused it.
    pub(super) rejection: Option<Rejection>,
    /// `true` if the whole call failed, so that another of its messages may be at fault.
    pub(super) is_whole_call: bool,
}

impl EntryResult {
    pub(super) fn rejection(&self) -> Option<Rejection> {
        match self {
            Self::Accepted(_) => None,
            Self::Failed(failure) => failure.rejection,
        }
    }

    /// The id of the call's request, if SQS stated it.
    pub(super) fn request_id(&self) -> Option<&str> {
        match self {
            Self::Accepted(Ok(confirmation)) => confirmation.request_id.as_deref(),
            Self::Accepted(Err(_)) => None,
            Self::Failed(failure) => failure.error.request_id(),
        }
    }
}

/// Sends the messages, and returns the result of each, in their order.
pub(super) async fn send_batch(
    client: &Client,
    queue: &QueueUrl,
    entries: &[Entry],
    give_up_at: Instant,
) -> Vec<EntryResult> {
    let request = request_entries(entries).map(|request_entries| {
        client
            .send_message_batch()
            .queue_url(queue.as_str())
            .set_entries(Some(request_entries))
    });
    let response = match request {
        Ok(request) => tokio::time::timeout_at(give_up_at, request.send()).await,
        Err(error) => Ok(Err(SdkError::construction_failure(error))),
    };
    match response {
        Ok(Ok(output)) => read_output(entries, output),
        Ok(Err(error)) => {
            let failure = EntryFailure {
                rejection: Rejection::from_error(&error),
                error: error.into(),
                is_whole_call: true,
            };
            fail_all(entries, &failure)
        }
        Err(elapsed) => {
            let failure = EntryFailure {
                error: QueueError::NoResponse {
                    error_type: error_type::TIMEOUT,
                    source: Arc::new(elapsed),
                },
                rejection: None,
                is_whole_call: true,
            };
            fail_all(entries, &failure)
        }
    }
}

fn request_entries(entries: &[Entry]) -> Result<Vec<SendMessageBatchRequestEntry>, BuildError> {
    let converted = entries.iter().zip(ENTRY_IDS).map(|(entry, id)| {
        let message = &entry.traced.message;
        let attributes = SdkAttributes::new(message, &entry.traced.added)?;
        SendMessageBatchRequestEntry::builder()
            .id(id)
            .message_body(&message.body)
            .set_message_attributes(attributes.attributes)
            .set_message_system_attributes(attributes.system_attributes)
            .set_message_group_id(message.group_id.clone())
            .set_message_deduplication_id(message.deduplication_id.clone())
            .set_delay_seconds(message.delay_seconds)
            .build()
    });
    converted.collect()
}

fn fail_all(entries: &[Entry], failure: &EntryFailure) -> Vec<EntryResult> {
    entries
        .iter()
        .map(|_| EntryResult::Failed(failure.clone()))
        .collect()
}

/// Assigns the parts of the response to the messages. A message that the response does not mention
/// has failed.
fn read_output(entries: &[Entry], output: SendMessageBatchOutput) -> Vec<EntryResult> {
    let request_id = output.request_id().map(str::to_owned);
    let mut successful = sort_by_entry(output.successful, SendMessageBatchResultEntry::id);
    let mut failed = sort_by_entry(output.failed, BatchResultErrorEntry::id);
    let parts = successful.iter_mut().zip(&mut failed);
    let results = entries.iter().zip(parts);
    results
        .map(
            |(entry, (successful, failed))| match (successful.take(), failed.take()) {
                (Some(accepted), _) => {
                    read_accepted(&entry.traced.message.body, accepted, request_id.clone())
                }
                (None, Some(failed)) => read_failed(failed, request_id.clone()),
                (None, None) => EntryResult::Failed(EntryFailure {
                    error: QueueError::UnmentionedEntry {
                        request_id: request_id.clone(),
                    },
                    rejection: None,
                    is_whole_call: false,
                }),
            },
        )
        .collect()
}

/// Sorts parts of a response by the positions of their entries. If an id is repeated, the first
/// part counts. Parts with an unknown id are ignored.
fn sort_by_entry<T>(parts: Vec<T>, id: impl Fn(&T) -> &str) -> [Option<T>; MAX_BATCH_MESSAGES] {
    let mut sorted = [const { None }; MAX_BATCH_MESSAGES];
    for part in parts {
        let position = ENTRY_IDS.iter().position(|known| *known == id(&part));
        let slot = position.and_then(|position| sorted.get_mut(position));
        if let Some(slot @ None) = slot {
            *slot = Some(part);
        }
    }
    sorted
}

fn read_accepted(
    body: &str,
    accepted: SendMessageBatchResultEntry,
    request_id: Option<String>,
) -> EntryResult {
    let output = SendOutput::from_response(
        body,
        Some(accepted.message_id),
        accepted.sequence_number,
        Some(&accepted.md5_of_message_body),
    );
    EntryResult::Accepted(output.map(|output| Confirmation { output, request_id }))
}

fn read_failed(failed: BatchResultErrorEntry, request_id: Option<String>) -> EntryResult {
    EntryResult::Failed(EntryFailure {
        rejection: Rejection::from_code(&failed.code, failed.message.as_deref()),
        error: QueueError::RejectedEntry {
            code: failed.code,
            is_sender_fault: failed.sender_fault,
            request_id,
        },
        is_whole_call: false,
    })
}
