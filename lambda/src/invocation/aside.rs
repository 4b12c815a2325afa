//! Permanent failures on their way to the dead-letter queue.
//!
//! Usually each is moved as soon as it has failed. Where any failure has the whole batch delivered
//! again, what was moved would be back, and moved again: there they are parked, and moved when all
//! the others are done, if none of those has failed.

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
use tokio::time::Instant;
use tracing::warn;

use super::{Failed, Invocation, Lane, Outcome, Processor, lanes};
use crate::config::PartialResponse;
use crate::dead_letter::{DeadLetterQueue, Reason};
use crate::event::Record;
use crate::failure::FailureKind;
use crate::handler::Handler;
use crate::spans::{self, Described};

/// The parked failures of a batch, by the positions of their records.
#[derive(Default)]
pub(super) struct Parking(Mutex<HashMap<usize, Parked>>);

struct Parked {
    /// With the record's span, which has not ended: it will say whether the message was moved.
    context: Context,
    failed: Failed,
    at: SystemTime,
}

impl Parking {
    fn lock(&self) -> MutexGuard<'_, HashMap<usize, Parked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H: Handler<S, Args>, S, Args> Processor<H, S, Args> {
    /// A place for permanent failures, where they have to wait for the end of the batch.
    pub(super) fn parking(&self, described: &Described) -> Option<Parking> {
        // A failed record without an id fails the invocation as well.
        let is_whole = self.config.partial_response == PartialResponse::Off
            || described.ids.iter().any(Option::is_none);
        (is_whole && self.dead_letters.is_some()).then(Parking::default)
    }

    /// What becomes of a record that has failed: it is moved, or parked, if no further delivery
    /// would help.
    pub(super) async fn move_aside(
        &self,
        invocation: &Invocation<'_>,
        index: usize,
        context: &Context,
        failed: Failed,
    ) -> Outcome {
        let record = invocation.batch.record(index);
        let queue = match &self.dead_letters {
            Some(queue) if failed.kind == FailureKind::Permanent && queue.takes(&record) => queue,
            _ => return Outcome::Failed,
        };
        if let Some(parking) = &invocation.parking {
            let parked = Parked {
                context: context.clone(),
                failed,
                at: SystemTime::now(),
            };
            parking.lock().insert(index, parked);
            return Outcome::Parked;
        }
        match send(invocation, queue, &record, context, &failed).await {
            true => Outcome::Done,
            false => Outcome::Failed,
        }
    }

    /// Moves what is parked if `is_sound`, and ends the spans. Returns what was not moved.
    pub(super) async fn settle(&self, invocation: &Invocation<'_>, is_sound: bool) -> Vec<usize> {
        let (Some(queue), Some(parking)) = (&self.dead_letters, &invocation.parking) else {
            return Vec::new();
        };
        if parking.lock().is_empty() {
            return Vec::new();
        }
        // Once the batch is to be delivered again, whatever is sent comes back.
        let is_sound = AtomicBool::new(is_sound);
        let lanes = lanes(&invocation.batch, &invocation.described.queues);
        stream::iter(lanes)
            .map(|lane| settle_lane(invocation, queue, parking, lane, &is_sound))
            .buffer_unordered(self.config.concurrency.get())
            .flat_map(stream::iter)
            .collect()
            .await
    }
}

/// One after the other, so that a FIFO group keeps its order.
async fn settle_lane(
    invocation: &Invocation<'_>,
    queue: &DeadLetterQueue,
    parking: &Parking,
    lane: Lane,
    is_sound: &AtomicBool,
) -> Lane {
    let mut left = Vec::new();
    for index in lane {
        let parked = parking.lock().remove(&index);
        let Some(parked) = parked else { continue };
        let record = invocation.batch.record(index);
        let (context, failed) = (&parked.context, &parked.failed);
        let is_moved = is_sound.load(Ordering::Relaxed)
            && send(invocation, queue, &record, context, failed).await;
        if !is_moved {
            is_sound.store(false, Ordering::Relaxed);
            left.push(index);
        }
        // The handler was done then; the time that the message was parked is not its own.
        context.span().end_with_timestamp(parked.at);
    }
    left
}

/// Sends a message to the dead-letter queue. `false`: it is not there, and must be delivered again.
async fn send(
    invocation: &Invocation<'_>,
    queue: &DeadLetterQueue,
    record: &Record<'_>,
    context: &Context,
    failed: &Failed,
) -> bool {
    let reason = Reason {
        error_type: failed.error_type,
        description: &failed.description,
    };
    let began = Instant::now();
    let sending = queue.send(record, context, &reason);
    let sending = pin!(sending.with_context(context.clone()));
    let cancelled = pin!(invocation.cancellation.cancelled());
    let outcome = select(sending, cancelled).await;
    let metrics = &invocation.metrics;
    let _active = context.clone().attach();
    match outcome {
        Either::Left((Ok(()), _)) => {
            metrics.record_send(queue.name(), began, None);
            spans::record_move(context, queue.name());
            true
        }
        Either::Left((Err(error), _)) => {
            metrics.record_send(queue.name(), began, Some(error.error_type()));
            let error: &dyn StdError = &error;
            warn!(
                message_id = record.message_id().as_deref(),
                error, "message not moved to the dead-letter queue: it will be delivered again"
            );
            false
        }
        Either::Right((reason, _)) => {
            metrics.record_send(queue.name(), began, Some(reason.error_type()));
            false
        }
    }
}
