//! One batch, from its records to the response. No input or output here: the caller flushes and answers.

use crate::config::Config;
use crate::context::{Origin, Origins};
use crate::envelope::Envelope;
use crate::event::{Batch, Record};
use crate::failure::{Failure, FailureKind};
use crate::handler::Handler;
use crate::message::Message;
use crate::spans::{self, Queue};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use lambda_runtime::Context as LambdaContext;
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry_sdk::trace::SdkTracer;
use std::any::Any;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tracing::warn;

/// `error.type` of failures that are not the handler's own.
const PANIC: &str = "panic";
const INVALID_BODY: &str = "invalid_body";
/// Of the records that were not tried because one before them in their group failed.
const GROUP_BLOCKED: &str = "message_group_blocked";

/// What an invocation works with.
pub(crate) struct Processor<H, S, Args> {
    pub(crate) handler: H,
    pub(crate) state: S,
    pub(crate) config: Config,
    pub(crate) tracer: SdkTracer,
    pub(crate) origins: Origins,
    pub(crate) arguments: PhantomData<fn() -> Args>,
}

/// Records that must be handled one after the other: on a standard queue each by itself, on a FIFO queue a message group.
type Lane = Vec<usize>;

/// The batch while it is processed.
struct Invocation {
    batch: Arc<Batch>,
    origins: Vec<Origin>,
    span: SpanContext,
}

impl<H: Handler<S, Args>, S, Args> Processor<H, S, Args> {
    /// Handles every record and returns the positions of those that failed, in order. All spans have ended when this returns.
    pub(crate) async fn process(
        &self,
        batch: Batch,
        lambda: &LambdaContext,
        is_cold_start: bool,
    ) -> (Arc<Batch>, Vec<usize>) {
        let origins: Vec<Origin> = batch
            .records()
            .map(|record| Origin::of(&record, &self.origins))
            .collect();
        let queue = Queue::of_all(&batch);
        let batch_context = spans::start_batch(
            &self.tracer,
            lambda,
            is_cold_start,
            &batch,
            queue.as_ref(),
            &origins,
        );
        let invocation = Invocation {
            batch: Arc::new(batch),
            origins,
            span: batch_context.span().span_context().clone(),
        };
        let mut failed: Vec<usize> = stream::iter(lanes(&invocation.batch))
            .map(|lane| self.process_lane(&invocation, lane))
            .buffer_unordered(self.config.concurrency.get())
            .flat_map(stream::iter)
            .collect()
            .await;
        failed.sort_unstable();
        batch_context.span().end();
        (invocation.batch, failed)
    }

    /// The records of the lane that failed: after the first of them, all that follow, so that their order is kept.
    async fn process_lane(&self, invocation: &Invocation, lane: Lane) -> Vec<usize> {
        for (done, index) in lane.iter().enumerate() {
            if self.process_record(invocation, *index).await == Outcome::Failed {
                let blocked = lane[done + 1..].iter();
                blocked.for_each(|index| self.skip_record(invocation, *index));
                return lane[done..].to_vec();
            }
        }
        Vec::new()
    }

    async fn process_record(&self, invocation: &Invocation, index: usize) -> Outcome {
        let context = self.start_record(invocation, index);
        let handled = self
            .handle(&invocation.batch, index)
            .with_context(context.clone());
        // Whatever of the user's code panics is this record's failure: the handler, and what it leaves to be dropped.
        let result = AssertUnwindSafe(handled).catch_unwind().await;
        let outcome = match result.unwrap_or_else(|panic| Err(Failed::by_panic(&*panic))) {
            Ok(()) => Outcome::Done,
            Err(failed) => {
                let _active = context.clone().attach();
                failed.record(&context, &invocation.batch.record(index));
                Outcome::Failed
            }
        };
        context.span().end();
        outcome
    }

    async fn handle(&self, batch: &Arc<Batch>, index: usize) -> Result<(), Failed> {
        let message = Message::decode(batch, index, Envelope::None)
            .map_err(|error| Failed::from(Failure::permanent(INVALID_BODY, error)))?;
        let handled = self.handler.call(message, &self.state).await;
        // The text of the failure is made here, where it may panic.
        handled.map_err(Failed::from)
    }

    /// A span that says why the record was not tried.
    fn skip_record(&self, invocation: &Invocation, index: usize) {
        let context = self.start_record(invocation, index);
        let reason = "a message before it in its group failed";
        spans::record_failure(&context, GROUP_BLOCKED, reason.to_owned());
        context.span().end();
    }

    fn start_record(&self, invocation: &Invocation, index: usize) -> Context {
        spans::start_record(
            &self.tracer,
            &invocation.span,
            &invocation.batch.record(index),
            &invocation.origins[index],
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    Failed,
}

/// Only a queue's name tells whether it is FIFO: messages on standard queues carry group ids too.
fn lanes(batch: &Batch) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::with_capacity(batch.len());
    let mut of_group: HashMap<(String, String), usize> = HashMap::new();
    for (index, record) in batch.records().enumerate() {
        match group(&record) {
            None => lanes.push(vec![index]),
            Some(group) => {
                let lane = *of_group.entry(group).or_insert(lanes.len());
                match lanes.get_mut(lane) {
                    Some(lane) => lane.push(index),
                    None => lanes.push(vec![index]),
                }
            }
        }
    }
    lanes
}

/// Queue and message group of a FIFO record.
fn group(record: &Record<'_>) -> Option<(String, String)> {
    let arn = record.queue_arn().filter(|_| record.is_fifo())?;
    let group = record.system_attributes().into_message_group_id();
    Some((arn.into_owned(), group.unwrap_or_default().into_owned()))
}

/// What is said about a failure: nothing of the user's is left in it.
struct Failed {
    error_type: &'static str,
    description: String,
    kind: FailureKind,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self {
            error_type: failure.error_type(),
            description: failure.to_string(),
            kind: failure.kind(),
        }
    }
}

impl Failed {
    fn by_panic(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("a value that is no text");
        Self {
            error_type: PANIC,
            description: format!("the handler panicked: {text}"),
            kind: FailureKind::Retryable,
        }
    }

    fn record(self, context: &Context, record: &Record<'_>) {
        warn!(
            message_id = record.message_id().as_deref(),
            error.type = self.error_type,
            error.message = self.description,
            retryable = self.kind == FailureKind::Retryable,
            "message failed"
        );
        spans::record_failure(context, self.error_type, self.description);
    }
}

#[cfg(test)]
mod tests;
