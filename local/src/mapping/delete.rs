//! Deletes the messages that succeeded.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{DisplayErrorContext, SdkError};
use aws_sdk_sqs::operation::delete_message_batch::DeleteMessageBatchError;
use aws_sdk_sqs::types::{BatchResultErrorEntry, DeleteMessageBatchRequestEntry};
use futures_util::StreamExt as _;
use tokio::time::sleep;
use tracing::warn;

use super::MappingStats;

/// Maximum number of entries in a `DeleteMessageBatch` call.
const MAX_ENTRIES_PER_CALL: usize = 10;
/// Maximum number of concurrent calls, for batches of thousands of records.
const MAX_CONCURRENT_CALLS: usize = 4;
/// Attempts per entry, in addition to the SDK's own retries of whole calls. A message that is still
/// not deleted after them is delivered again.
const MAX_ATTEMPTS: u32 = 3;
/// Pause before the second attempt; twice as long before the third.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Deletes messages by their receipt handles and counts the results.
pub(super) async fn delete_messages(
    sqs: &Client,
    queue_url: &str,
    receipt_handles: &[&str],
    stats: &MappingStats,
) {
    futures_util::stream::iter(receipt_handles.chunks(MAX_ENTRIES_PER_CALL))
        .for_each_concurrent(MAX_CONCURRENT_CALLS, |handles| async move {
            let left = delete_chunk(sqs, queue_url, handles.to_vec()).await;
            stats.record_deleted(handles.len() - left, left);
        })
        .await;
}

/// Deletes up to ten messages and returns the number of those that were not deleted.
async fn delete_chunk(sqs: &Client, queue_url: &str, mut handles: Vec<&str>) -> usize {
    let mut rejected = 0;
    for attempt in 1..=MAX_ATTEMPTS {
        match delete_message_batch(sqs, queue_url, &handles).await {
            Ok(failed) => {
                let (permanent, retryable): (Vec<_>, Vec<_>) =
                    failed.iter().partition(|entry| entry.sender_fault());
                for entry in &permanent {
                    warn!(
                        code = entry.code(),
                        message = entry.message(),
                        queue_url,
                        "cannot delete a message"
                    );
                }
                rejected += permanent.len();
                handles = retryable
                    .iter()
                    .filter_map(|entry| handles.get(position(entry)?).copied())
                    .collect();
            }
            Err(error) => {
                warn!(error = %DisplayErrorContext(error), queue_url, attempt, "cannot delete messages")
            }
        }
        if handles.is_empty() || attempt == MAX_ATTEMPTS {
            break;
        }
        sleep(RETRY_PAUSE * attempt).await;
    }
    if !handles.is_empty() {
        warn!(
            messages = handles.len(),
            queue_url, "failed to delete messages: they will be delivered again"
        );
    }
    handles.len() + rejected
}

async fn delete_message_batch(
    sqs: &Client,
    queue_url: &str,
    handles: &[&str],
) -> Result<Vec<BatchResultErrorEntry>, SdkError<DeleteMessageBatchError>> {
    let mut request = sqs.delete_message_batch().queue_url(queue_url);
    for (position, handle) in handles.iter().enumerate() {
        let entry = DeleteMessageBatchRequestEntry::builder()
            .id(position.to_string())
            .receipt_handle(*handle);
        request = request.entries(entry.build().map_err(SdkError::construction_failure)?);
    }
    Ok(request.send().await?.failed)
}

/// Returns the position of the entry that a result is about: the ids of the entries are their
/// positions.
fn position(entry: &BatchResultErrorEntry) -> Option<usize> {
    entry.id().parse().ok()
}
