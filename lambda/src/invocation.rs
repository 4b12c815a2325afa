//! One batch, from its records to what became of them. The caller watches the clock, flushes and
//! answers.

use std::any::Any;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Once};

use futures_util::future::{Either, select};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::TraceContextExt as _;
use tokio::task::coop::consume_budget;
use tracing::{debug, info, warn};

use self::aside::Parking;
use crate::config::{Config, TraceShape};
use crate::context::{Origin, Origins};
use crate::dead_letter::DeadLetterQueue;
use crate::deadline::Cancellation;
use crate::event::{Batch, Record};
use crate::failure::{Failure, FailureKind};
use crate::handler::Handler;
use crate::message::Message;
use crate::metrics::{Metrics, OfBatch};
use crate::panic_abort::{BatchInFlight, PanicHook};
use crate::queue::Queues;
use crate::spans::{self, Described, LambdaInvocation, Spans};

mod aside;

/// `error.type` of failures that are not the handler's own.
const PANIC: &str = "panic";
const INVALID_BODY: &str = "invalid_body";

/// `error.type` of a record that was not tried, and the reason in words.
type Untried = (&'static str, &'static str);
const BLOCKED: Untried = (
    "message_group_blocked",
    "a message before it in its group failed",
);

/// What an invocation works with.
pub(crate) struct Processor<H, S, Args> {
    pub(crate) handler: H,
    pub(crate) state: S,
    pub(crate) config: Config,
    pub(crate) spans: Spans,
    pub(crate) metrics: Metrics,
    pub(crate) origins: Origins,
    /// Limits the line about a message whose only context is `AWSTraceHeader` to one per process.
    pub(crate) link_only: Once,
    /// Where permanent failures are moved; `None`: they are reported like any other.
    pub(crate) dead_letters: Option<DeadLetterQueue>,
    pub(crate) panic_hook: PanicHook,
    pub(crate) arguments: PhantomData<fn() -> Args>,
}

/// A batch and what became of it.
#[derive(Debug)]
pub(crate) struct Processed {
    pub(crate) batch: Arc<Batch>,
    /// Positions of the records that failed, in order.
    pub(crate) failed: Vec<usize>,
    /// With the batch span in it, which has not ended: how the invocation ends is not known yet.
    pub(crate) context: Context,
}

/// Records that must be handled one after the other: on a standard queue each by itself, on a FIFO
/// queue a message group.
type Lane = Vec<usize>;

/// The batch while it is processed.
struct Invocation<'a> {
    batch: Arc<Batch>,
    described: Described,
    /// With the batch span in it.
    context: Context,
    cancellation: &'a Cancellation,
    metrics: OfBatch<'a>,
    /// Where permanent failures wait for the end of the batch; `None`: they need not.
    parking: Option<Parking>,
    in_flight: BatchInFlight,
}

impl<H: Handler<S, Args>, S, Args> Processor<H, S, Args> {
    /// Handles every record that `cancellation` leaves time for. All spans but the batch's have ended when
    /// this returns.
    ///
    /// No span is in `root`; spans that have no parent are started in it.
    pub(crate) async fn process(
        &self,
        batch: Batch,
        lambda: LambdaInvocation<'_>,
        root: Context,
        cancellation: &Cancellation,
    ) -> Processed {
        let described = self.describe(&batch, root);
        let request_id = &lambda.context.request_id;
        let context = self.spans.start_batch(lambda, &described);
        let invocation = Invocation {
            metrics: self.metrics.begin_batch(&described.queues, &batch),
            batch: Arc::new(batch),
            in_flight: self
                .panic_hook
                .begin_batch(request_id, &context, &described.ids),
            context,
            parking: self.parking(&described),
            described,
            cancellation,
        };
        let (lanes, concurrency) = self.schedule(&invocation);
        let mut failed: Vec<usize> = stream::iter(lanes)
            .map(|lane| self.process_lane(&invocation, lane))
            .buffer_unordered(concurrency)
            .flat_map(stream::iter)
            .collect()
            .await;
        failed.extend(self.settle(&invocation, failed.is_empty()).await);
        failed.sort_unstable();
        invocation.metrics.end();
        Processed {
            batch: invocation.batch,
            failed,
            context: invocation.context,
        }
    }

    /// Returns the lanes in the order in which they start, and how many run at the same time. If a
    /// message of the batch may have caused a panic that ended the process, it starts last and all
    /// run one after another.
    fn schedule(&self, invocation: &Invocation<'_>) -> (Vec<Lane>, usize) {
        let mut lanes = lanes(&invocation.batch, &invocation.described.queues);
        let is_suspect = |index: &usize| {
            let id = invocation.described.ids[*index].as_deref();
            self.panic_hook.is_suspect(id)
        };
        if !lanes.iter().flatten().any(is_suspect) {
            return (lanes, self.config.concurrency.get());
        }
        lanes.sort_by_key(|lane| lane.iter().any(is_suspect));
        (lanes, 1)
    }

    fn describe(&self, batch: &Batch, root: Context) -> Described {
        let origins = |record: Record<'_>| Origin::of(&record, &self.origins);
        let id = |record: Record<'_>| record.message_id().map(Arc::from);
        Described {
            queues: Queues::of(batch),
            origins: batch.records().map(origins).collect(),
            ids: batch.records().map(id).collect(),
            root,
        }
    }

    /// The records of the lane that failed: after the first of them, all that follow, so that their
    /// order is kept.
    async fn process_lane(&self, invocation: &Invocation<'_>, lane: Lane) -> Vec<usize> {
        for (done, index) in lane.iter().enumerate() {
            // Handlers that are ready at once would otherwise keep the export, and the deadline,
            // from being looked at.
            consume_budget().await;
            if let Some(unstarted) = unstarted(invocation.cancellation) {
                self.skip_records(invocation, &lane[done..], unstarted);
                return lane[done..].to_vec();
            }
            if self.process_record(invocation, *index).await == Outcome::Failed {
                // What was cancelled says nothing about those behind it: they come to their end for
                // the same reason.
                let why = unstarted(invocation.cancellation).unwrap_or(BLOCKED);
                self.skip_records(invocation, &lane[done + 1..], why);
                return lane[done..].to_vec();
            }
        }
        Vec::new()
    }

    async fn process_record(&self, invocation: &Invocation<'_>, index: usize) -> Outcome {
        let record = invocation.batch.record(index);
        let context = self.start_record(invocation, index);
        invocation.in_flight.start_record(index, &context);
        let metrics = &invocation.metrics;
        let handling = metrics.begin_record(&invocation.described.queues, &record);
        let outcome = match self.attempt(invocation, index, &context).await {
            Ok(()) => {
                metrics.end_record(&handling, None);
                Outcome::Done
            }
            Err(failed) => {
                metrics.end_record(&handling, Some(failed.error_type));
                {
                    let _active = context.clone().attach();
                    failed.record(&context, &record);
                }
                self.move_aside(invocation, index, &context, failed).await
            }
        };
        if outcome != Outcome::Parked {
            context.span().end();
        }
        invocation
            .in_flight
            .end_record(index, outcome == Outcome::Done);
        outcome
    }

    /// Runs the handler until it is done or has to stop. Whatever of the user's code panics is this
    /// record's failure: the handler, and what it leaves to be dropped.
    async fn attempt(
        &self,
        invocation: &Invocation<'_>,
        index: usize,
        context: &Context,
    ) -> Result<(), Failed> {
        let handling = AssertUnwindSafe(self.handle(&invocation.batch, index)).catch_unwind();
        let handling = Box::pin(handling.with_context(context.clone()));
        match select(handling, pin!(invocation.cancellation.cancelled())).await {
            Either::Left((Ok(handled), _)) => handled,
            Either::Left((Err(panic), _)) => Err(Failed::by_panic(panic)),
            Either::Right((reason, handling)) => {
                invocation.metrics.record_halt(reason.error_type());
                let _active = context.clone().attach();
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(handling))) {
                    return Err(Failed::by_panic(panic));
                }
                Err(Failed {
                    error_type: reason.error_type(),
                    description: reason.cancelled_description().to_owned(),
                    kind: FailureKind::Retryable,
                })
            }
        }
    }

    async fn handle(&self, batch: &Arc<Batch>, index: usize) -> Result<(), Failed> {
        let message = Message::decode(batch, index, self.config.envelope)
            .map_err(|error| Failed::from(Failure::permanent(INVALID_BODY, error)))?;
        let handled = self.handler.call(message, &self.state).await;
        // The text of the failure is made here, where it may panic.
        handled.map_err(Failed::from)
    }

    /// Spans that say why records were not tried.
    fn skip_records(
        &self,
        invocation: &Invocation<'_>,
        skipped: &[usize],
        (error_type, reason): Untried,
    ) {
        if !skipped.is_empty() {
            invocation.metrics.record_halt(error_type);
        }
        for index in skipped {
            let context = self.start_record(invocation, *index);
            spans::record_failure(&context, error_type, reason.to_owned());
            context.span().end();
        }
    }

    fn start_record(&self, invocation: &Invocation<'_>, index: usize) -> Context {
        let record = invocation.batch.record(index);
        let described = &invocation.described;
        let context = self
            .spans
            .start_record(&invocation.context, described, &record, index);
        if described.origins[index].is_joined_by_link_only() {
            self.report_link_only(&context, described.ids[index].as_deref());
        }
        if tracing::enabled!(tracing::Level::DEBUG) {
            let _active = context.clone().attach();
            let origin = &described.origins[index];
            debug!(
                message_id = described.ids[index].as_deref(),
                carrier = origin.carrier.map(|carrier| carrier.as_str()),
                link = origin.xray.is_some().then_some("AWSTraceHeader"),
                ignored = origin.invalid.as_ref().map(tracing::field::display),
                "message's trace context"
            );
        }
        context
    }

    /// Logs, once per process, the settings that would continue the producer's trace. Skips the
    /// line if they would not change anything: without `tracecontext` in `OTEL_PROPAGATORS`, traces
    /// are separate on purpose, and with the trace shape `batch`, producers are only linked.
    fn report_link_only(&self, context: &Context, message_id: Option<&str>) {
        let is_continued = self.config.trace_shape == TraceShape::Continue;
        if !is_continued || !self.origins.has_trace_context() {
            return;
        }
        self.link_only.call_once(|| {
            let _active = context.clone().attach();
            info!(
                message_id,
                "the message starts a new trace with a link to its producer, because AWSTraceHeader is its only trace context and \
                 OTEL_PROPAGATORS does not list xray; to continue the producer's trace, set OTEL_PROPAGATORS=tracecontext,baggage,xray \
                 for the function, or let the producer send traceparent as a message attribute (logged once per process)"
            );
        });
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    Failed,
    /// Decided once all other records are done. The span has not ended.
    Parked,
}

/// Why no further record may be tried, if so.
fn unstarted(cancellation: &Cancellation) -> Option<Untried> {
    let reason = cancellation.check_drain()?;
    Some((reason.error_type(), reason.skipped_description()))
}

fn lanes(batch: &Batch, queues: &Queues) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::with_capacity(batch.len());
    let mut of_group: HashMap<(String, String), usize> = HashMap::new();
    for (index, record) in batch.records().enumerate() {
        match group(&record, queues) {
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
fn group(record: &Record<'_>, queues: &Queues) -> Option<(String, String)> {
    let queue = queues.of_record(record).filter(|_| record.is_fifo())?;
    let group = record.group_id();
    Some((
        queue.name().to_owned(),
        group.unwrap_or_default().into_owned(),
    ))
}

/// What is repeated of a failure's text, in bytes: it goes to a span's status, to a line of the
/// log, and into a message's attribute.
const MAX_DESCRIPTION: usize = 4096;

fn shortened(mut text: String) -> String {
    if text.len() > MAX_DESCRIPTION {
        text.truncate(text.floor_char_boundary(MAX_DESCRIPTION));
        text.push('…');
    }
    text
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
            description: shortened(failure.to_string()),
            kind: failure.kind(),
        }
    }
}

impl Failed {
    fn by_panic(panic: Box<dyn Any + Send>) -> Self {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("a value that is no text");
        let description = shortened(format!("the handler panicked: {text}"));
        // The value is the user's, too, and may panic when it is dropped. What it panics with then
        // is not looked at: better never dropped.
        if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            mem::forget(another);
        }
        Self {
            error_type: PANIC,
            description,
            kind: FailureKind::Retryable,
        }
    }

    fn record(&self, context: &Context, record: &Record<'_>) {
        warn!(
            // `log_layer` adds `messageId`, but a program's own subscriber may not have that layer.
            message_id = record.message_id().as_deref(),
            error.type = self.error_type,
            error.message = self.description,
            retryable = self.kind == FailureKind::Retryable,
            "message failed"
        );
        spans::record_failure(context, self.error_type, self.description.clone());
    }
}

#[cfg(test)]
mod tests;
