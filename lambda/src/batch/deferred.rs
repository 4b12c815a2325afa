//! Sends permanent failures to the dead-letter queue.
//!
//! A permanent failure is usually sent as soon as its handler has failed. If any failure makes SQS
//! redeliver the whole batch, a message that was already sent would be redelivered and sent again.
//! In that case, sends are deferred until all other records are done, and happen only if none of
//! those has failed.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use futures_util::future::{Either, select};
use futures_util::{StreamExt as _, stream};
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::TraceContextExt as _;
use tracing::warn;

use super::ActiveBatch;
use super::groups::{RecordGroup, group_records};
use super::record_failure::RecordFailure;
use crate::dead_letter::{DeadLetterQueue, DeadLetterReason};
use crate::event::SqsRecord;
use crate::spans;

/// Permanent failures of a batch that wait to be sent, by the positions of their records.
#[derive(Default)]
pub(super) struct DeferredDeadLetters(Mutex<HashMap<usize, DeferredDeadLetter>>);

struct DeferredDeadLetter {
    /// Context that holds the record's span. The span has not ended, because it records whether the
    /// message was sent.
    context: Context,
    failure: RecordFailure,
    failed_at: SystemTime,
}

impl DeferredDeadLetters {
    pub(super) fn insert(&self, index: usize, context: &Context, failure: RecordFailure) {
        let deferred = DeferredDeadLetter {
            context: context.clone(),
            failure,
            failed_at: SystemTime::now(),
        };
        self.lock().insert(index, deferred);
    }

    /// Sends the deferred failures if `batch_succeeded`, and ends their spans. Returns the records
    /// that were not sent.
    pub(super) async fn send(
        &self,
        active: &ActiveBatch<'_>,
        queue: &DeadLetterQueue,
        concurrency: usize,
        batch_succeeded: bool,
    ) -> Vec<usize> {
        if self.lock().is_empty() {
            return Vec::new();
        }
        // The first send that fails clears the flag and so stops further sends: the batch will be
        // redelivered, and messages that were sent would come back.
        let batch_succeeded = AtomicBool::new(batch_succeeded);
        let groups = group_records(&active.batch, &active.context.queues);
        stream::iter(groups)
            .map(|group| self.send_group(active, queue, group, &batch_succeeded))
            .buffer_unordered(concurrency)
            .flat_map(stream::iter)
            .collect()
            .await
    }

    /// Sends the deferred failures of a group one after another, so that a FIFO message group keeps
    /// its order.
    async fn send_group(
        &self,
        active: &ActiveBatch<'_>,
        queue: &DeadLetterQueue,
        group: RecordGroup,
        batch_succeeded: &AtomicBool,
    ) -> Vec<usize> {
        let mut unsent = Vec::new();
        for index in group {
            let deferred = self.lock().remove(&index);
            let Some(deferred) = deferred else { continue };
            let record = active.batch.record(index);
            let (context, failure) = (&deferred.context, &deferred.failure);
            let is_sent = batch_succeeded.load(Ordering::Relaxed)
                && send_dead_letter(active, queue, &record, context, failure).await;
            if !is_sent {
                batch_succeeded.store(false, Ordering::Relaxed);
                unsent.push(index);
            }
            // The span ends when the handler failed, so that its duration excludes the wait.
            context.span().end_with_timestamp(deferred.failed_at);
        }
        unsent
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<usize, DeferredDeadLetter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends a message to the dead-letter queue. Returns `false` if it was not sent and must be
/// redelivered.
pub(super) async fn send_dead_letter(
    active: &ActiveBatch<'_>,
    queue: &DeadLetterQueue,
    record: &SqsRecord<'_>,
    context: &Context,
    failure: &RecordFailure,
) -> bool {
    let reason = DeadLetterReason {
        error_type: failure.error_type,
        description: &failure.description,
    };
    let send = queue.send(record, context, &reason);
    let send = pin!(send.with_context(context.clone()));
    let cancellation = pin!(active.cancellation.cancelled());
    let result = select(send, cancellation).await;
    let _active = context.clone().attach();
    match result {
        Either::Left((Ok(()), _)) => {
            spans::record_dead_letter_queue(context, queue.name());
            let queues = &active.context.queues;
            active.metrics.count_dead_letter(queues, record);
            true
        }
        Either::Left((Err(error), _)) => {
            let error: &dyn StdError = &error;
            warn!(
                message_id = record.message_id().as_deref(),
                error, "message not sent to the dead-letter queue: SQS will redeliver it"
            );
            false
        }
        Either::Right(_) => false,
    }
}
