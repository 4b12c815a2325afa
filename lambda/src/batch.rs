//! Processing of one batch: runs the handler for each record and collects the failures.
//!
//! [`InvocationHandler`](crate::invocation::InvocationHandler) watches the deadlines, flushes and
//! builds the response.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Once};

use baton_telemetry::{Telemetry, panic_text};
use futures_util::future::{BoxFuture, Either, select};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::TraceContextExt as _;
use tokio::task::coop::consume_budget;
use tracing::{debug, info, warn};

use self::deferred::{DeferredDeadLetters, send_dead_letter};
use self::groups::{RecordGroup, group_records};
pub(crate) use self::record_failure::RecordFailure;
use self::whole::WholeBatch;
use crate::config::{ConsumerConfig, PartialResponse, TraceShape};
use crate::consumer::LogFields;
use crate::dead_letter::DeadLetterQueue;
use crate::deadline::{Cancellation, StopReason};
use crate::event::{SqsBatch, SqsRecord};
use crate::failure::{Classifiers, Failure, FailureKind};
use crate::handler::{BoxedBatchHandler, BoxedHandlerFuture, BoxedMessageHandler};
use crate::message::Message;
use crate::metrics::{BatchMetrics, Metrics, RecordTimer};
use crate::panic_abort::{BatchGuard, PanicHook};
use crate::queue::BatchQueues;
use crate::spans::{BatchContext, InvocationInfo, InvocationSpans};
use crate::trace_context::ContextExtractor;

mod deferred;
mod groups;
mod record_failure;
mod whole;

/// Instrumentation scope of this crate's spans and metrics.
const SCOPE: &str = "baton.lambda";

/// Handles batches. One per process, shared by all invocations.
pub(crate) struct BatchProcessor {
    handler: BoxedRecordHandler,
    pub(crate) config: ConsumerConfig,
    spans: InvocationSpans,
    pub(crate) metrics: Metrics,
    pub(crate) extractor: ContextExtractor,
    /// Limits the log line about a message whose only context is `AWSTraceHeader` to one per
    /// process.
    link_only_logged: Once,
    failure_policy: FailurePolicy,
    log_fields: Option<Arc<LogFields>>,
    panic_hook: PanicHook,
}

/// A handler of single messages or of whole batches, which processes the records of a batch. It is
/// a trait object: otherwise a function with a handler of single messages would also contain the
/// code for whole batches.
pub(crate) trait RecordHandler: Send + Sync {
    /// Handles the records of a batch. Returns those that failed.
    fn process<'a>(
        &'a self,
        processor: &'a BatchProcessor,
        active: &'a ActiveBatch<'a>,
    ) -> BoxFuture<'a, Vec<usize>>;
}

pub(crate) type BoxedRecordHandler = Box<dyn RecordHandler>;

impl RecordHandler for BoxedMessageHandler {
    fn process<'a>(
        &'a self,
        processor: &'a BatchProcessor,
        active: &'a ActiveBatch<'a>,
    ) -> BoxFuture<'a, Vec<usize>> {
        Box::pin(processor.process_messages(active, self))
    }
}

impl RecordHandler for BoxedBatchHandler {
    fn process<'a>(
        &'a self,
        processor: &'a BatchProcessor,
        active: &'a ActiveBatch<'a>,
    ) -> BoxFuture<'a, Vec<usize>> {
        Box::pin(async { WholeBatch::new(processor, active).process(self).await })
    }
}

/// Treatment of failures.
#[derive(Default)]
pub(crate) struct FailurePolicy {
    /// Functions that give failures their class.
    pub(crate) classifiers: Classifiers,
    /// Destination of permanent failures. Without it, they are reported like other failures.
    pub(crate) dead_letters: Option<DeadLetterQueue>,
    /// Function that is called with each failure and the position of its record, for
    /// [`testing`](crate::testing).
    pub(crate) observer: Option<Box<FailureObserver>>,
}

pub(crate) type FailureObserver = dyn Fn(usize, &RecordFailure) + Send + Sync;

impl FailurePolicy {
    fn call_observer(&self, index: usize, failure: &RecordFailure) {
        if let Some(observer) = &self.observer {
            observer(index, failure);
        }
    }
}

/// A batch whose records have been handled or skipped.
#[derive(Debug)]
pub(crate) struct ProcessedBatch {
    pub(crate) batch: Arc<SqsBatch>,
    /// Positions of the records that failed, in ascending order.
    pub(crate) failed: Vec<usize>,
    pub(crate) queues: BatchQueues,
    /// Context that holds the batch span. The span has not ended, because the result of the
    /// invocation is not known yet.
    pub(crate) context: Context,
}

/// A batch whose records are being handled.
pub(crate) struct ActiveBatch<'a> {
    batch: Arc<SqsBatch>,
    context: BatchContext,
    /// Context that holds the batch span.
    span: Context,
    cancellation: &'a Cancellation,
    metrics: BatchMetrics<'a>,
    /// Permanent failures that wait until the other records are done. `None` if they are sent
    /// immediately.
    deferred: Option<DeferredDeadLetters>,
    guard: BatchGuard,
}

/// A record whose span and timer have started.
struct StartedRecord {
    index: usize,
    /// Context that holds the record's span.
    context: Context,
    timer: RecordTimer,
}

/// Result of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RecordOutcome {
    Done,
    Failed,
    /// Decided when all other records are done. The record's span has not ended.
    Deferred,
}

/// Reason why a record is not handled: its `error.type` and a description.
#[derive(Debug, Clone, Copy)]
struct SkipReason {
    error_type: &'static str,
    description: &'static str,
}

impl From<StopReason> for SkipReason {
    fn from(reason: StopReason) -> Self {
        Self {
            error_type: reason.error_type(),
            description: reason.skipped_description(),
        }
    }
}

const GROUP_BLOCKED: SkipReason = SkipReason {
    error_type: "message_group_blocked",
    description: "an earlier message of the message group failed",
};

impl BatchProcessor {
    /// Creates a processor that emits its spans and metrics through `telemetry`.
    pub(crate) fn new(
        handler: BoxedRecordHandler,
        config: ConsumerConfig,
        telemetry: &Telemetry,
        failure_policy: FailurePolicy,
    ) -> Self {
        let meter = telemetry.meter(SCOPE, env!("CARGO_PKG_VERSION"));
        let dead_letters = failure_policy.dead_letters;
        Self {
            handler,
            spans: InvocationSpans {
                tracer: telemetry.tracer(SCOPE, env!("CARGO_PKG_VERSION")),
                shape: config.trace_shape,
                max_receive_count: config.max_receive_count,
            },
            metrics: Metrics::new(&meter)
                .with_cloudwatch(config.cloudwatch_queue_latency.then(|| telemetry.clone())),
            extractor: ContextExtractor::new(telemetry.propagator(), {
                let telemetry = telemetry.clone();
                move |trace_id| telemetry.samples_root(trace_id)
            }),
            link_only_logged: Once::new(),
            failure_policy: FailurePolicy {
                dead_letters: dead_letters.map(|queue| queue.with_meter(&meter)),
                ..failure_policy
            },
            log_fields: None,
            panic_hook: PanicHook::default(),
            config,
        }
    }

    /// Adds the fields that the function returns to the log lines of each message.
    pub(crate) fn with_log_fields(mut self, log_fields: Option<Arc<LogFields>>) -> Self {
        self.log_fields = log_fields;
        self
    }

    /// Registers batches with `hook`, which responds for them if a panic ends the process.
    pub(crate) fn with_panic_hook(mut self, hook: PanicHook) -> Self {
        self.panic_hook = hook;
        self
    }

    /// Handles the records of `batch` until `cancellation` stops it. When this returns, all spans
    /// except the batch span have ended.
    ///
    /// `root` holds no span. Spans without a parent start in it.
    pub(crate) async fn process(
        &self,
        batch: SqsBatch,
        invocation: InvocationInfo<'_>,
        root: Context,
        cancellation: &Cancellation,
    ) -> ProcessedBatch {
        let context = self.read_context(&batch, root);
        let request_id = &invocation.context.request_id;
        let span = self.spans.start_batch(invocation, &context);
        let active = ActiveBatch {
            metrics: self.metrics.start_batch(&context.queues, &batch),
            batch: Arc::new(batch),
            guard: self
                .panic_hook
                .register_batch(request_id, &span, &context.ids),
            deferred: self.deferred_dead_letters(&context),
            context,
            span,
            cancellation,
        };
        let mut failed = self.handler.process(self, &active).await;
        failed.extend(self.send_deferred(&active, failed.is_empty()).await);
        failed.sort_unstable();
        active.metrics.end();
        ProcessedBatch {
            batch: active.batch,
            failed,
            queues: active.context.queues,
            context: active.span,
        }
    }

    fn read_context(&self, batch: &SqsBatch, root: Context) -> BatchContext {
        let producer = |record: SqsRecord<'_>| self.extractor.extract(&record);
        let id = |record: SqsRecord<'_>| record.message_id().map(Arc::from);
        BatchContext {
            queues: BatchQueues::from_batch(batch),
            producers: batch.records().map(producer).collect(),
            ids: batch.records().map(id).collect(),
            root,
        }
    }

    /// Returns the groups in the order in which they start, and how many run at the same time. If a
    /// message may have caused the panic that ended an earlier process, its group starts last, and
    /// all groups run one after another.
    fn schedule(&self, active: &ActiveBatch<'_>) -> (Vec<RecordGroup>, usize) {
        let mut groups = group_records(&active.batch, &active.context.queues);
        let is_suspect = |index: &usize| {
            let id = active.context.ids[*index].as_deref();
            self.panic_hook.is_suspect(id)
        };
        if !groups.iter().flatten().any(is_suspect) {
            return (groups, self.config.concurrency.get());
        }
        groups.sort_by_key(|group| group.iter().any(is_suspect));
        (groups, 1)
    }

    /// Handles the records one by one. Returns those that failed.
    async fn process_messages(
        &self,
        active: &ActiveBatch<'_>,
        handler: &BoxedMessageHandler,
    ) -> Vec<usize> {
        let (groups, concurrency) = self.schedule(active);
        stream::iter(groups)
            .map(|group| self.process_group(active, handler, group))
            .buffer_unordered(concurrency)
            .flat_map(stream::iter)
            .collect()
            .await
    }

    /// Handles the records of a group in order. Returns the first that failed and all after it,
    /// which are skipped so that their order is kept.
    async fn process_group(
        &self,
        active: &ActiveBatch<'_>,
        handler: &BoxedMessageHandler,
        group: RecordGroup,
    ) -> Vec<usize> {
        for (done, index) in group.iter().enumerate() {
            // A handler that never waits would otherwise keep the task that watches the deadlines
            // from running until the whole batch is done.
            consume_budget().await;
            if let Some(reason) = active.cancellation.check_drain() {
                self.skip_records(active, &group[done..], reason.into());
                return group[done..].to_vec();
            }
            if self.process_record(active, handler, *index).await == RecordOutcome::Failed {
                // If the record was cancelled, the rest is skipped for the same reason and not
                // because the group is blocked.
                let stopped = active.cancellation.check_drain();
                let reason = stopped.map_or(GROUP_BLOCKED, SkipReason::from);
                self.skip_records(active, &group[done + 1..], reason);
                return group[done..].to_vec();
            }
        }
        Vec::new()
    }

    async fn process_record(
        &self,
        active: &ActiveBatch<'_>,
        handler: &BoxedMessageHandler,
        index: usize,
    ) -> RecordOutcome {
        let record = self.begin_record(active, index);
        let start = || handler.start(&active.batch, index, self.config.envelope);
        let result = match start_handler(&record.context, start) {
            Ok(Ok(handler)) => {
                self.run_until_cancelled(active, &record.context, handler)
                    .await
            }
            Ok(Err(invalid)) => Err(RecordFailure::from_invalid_body(invalid)),
            Err(failure) => Err(failure),
        };
        self.finish_record(active, record, result).await
    }

    /// Runs a handler in `context` until it returns or is cancelled. A panic of the handler, or of
    /// a value that it drops, becomes a failure.
    async fn run_until_cancelled(
        &self,
        active: &ActiveBatch<'_>,
        context: &Context,
        handler: BoxedHandlerFuture,
    ) -> Result<(), RecordFailure> {
        let call = AssertUnwindSafe(handler).catch_unwind();
        let call = call.with_context(context.clone());
        match select(call, pin!(active.cancellation.cancelled())).await {
            Either::Left((Ok(Ok(())), _)) => Ok(()),
            Either::Left((Ok(Err(failure)), _)) => {
                let _active = context.clone().attach();
                Err(self.record_failure(failure))
            }
            Either::Left((Err(panic), _)) => Err(RecordFailure::from_panic(panic)),
            Either::Right((reason, call)) => {
                active.metrics.record_stop(reason.error_type());
                // The future is dropped here and not at the end of the scope: a destructor of the
                // handler may panic, and its telemetry belongs to the span in `context`.
                let _active = context.clone().attach();
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(call))) {
                    return Err(RecordFailure::from_panic(panic));
                }
                Err(RecordFailure::from_cancellation(reason))
            }
        }
    }

    /// Classifies a failure. A panic of the classifiers, or of the code that formats or drops the
    /// error, becomes the failure.
    fn record_failure(&self, failure: Failure) -> RecordFailure {
        let classifiers = &self.failure_policy.classifiers;
        let convert = || RecordFailure::new(&{ failure }, classifiers);
        catch_unwind(AssertUnwindSafe(convert)).unwrap_or_else(RecordFailure::from_panic)
    }

    /// Starts the span and the timer of a record.
    fn begin_record(&self, active: &ActiveBatch<'_>, index: usize) -> StartedRecord {
        let context = self.start_record(active, index);
        active.guard.start_record(index, &context);
        let record = active.batch.record(index);
        StartedRecord {
            index,
            context,
            timer: active.metrics.start_record(&active.context.queues, &record),
        }
    }

    /// Reports the result of a record, sends a permanent failure to the dead-letter queue, and ends
    /// the record's span unless the send is deferred.
    async fn finish_record(
        &self,
        active: &ActiveBatch<'_>,
        started: StartedRecord,
        result: Result<(), RecordFailure>,
    ) -> RecordOutcome {
        let error_type = result.as_ref().err().map(|failure| failure.error_type);
        active.metrics.finish_record(&started.timer, error_type);
        let StartedRecord { index, context, .. } = started;
        let outcome = match result {
            Ok(()) => RecordOutcome::Done,
            // Boxed, so that the future of each record is small: glibc's allocator takes much
            // longer for more than 1,024 bytes.
            Err(failure) => Box::pin(self.handle_failure(active, index, &context, failure)).await,
        };
        if outcome != RecordOutcome::Deferred {
            context.span().end();
        }
        let is_done = outcome == RecordOutcome::Done;
        active.guard.end_record(index, is_done);
        outcome
    }

    /// Reports the failure of a record, and sends a permanent one to the dead-letter queue.
    async fn handle_failure(
        &self,
        active: &ActiveBatch<'_>,
        index: usize,
        context: &Context,
        failure: RecordFailure,
    ) -> RecordOutcome {
        self.failure_policy.call_observer(index, &failure);
        {
            let _active = context.clone().attach();
            failure.report(context, &active.batch.record(index));
        }
        self.send_or_defer(active, index, context, failure).await
    }

    /// Emits a span with `reason` for each of the `skipped` records.
    fn skip_records(&self, active: &ActiveBatch<'_>, skipped: &[usize], reason: SkipReason) {
        if !skipped.is_empty() {
            active.metrics.record_stop(reason.error_type);
        }
        for index in skipped {
            let context = self.start_record(active, *index);
            let failure = RecordFailure::from_skip(reason);
            self.failure_policy.call_observer(*index, &failure);
            failure.set_on(&context);
            context.span().end();
        }
    }

    fn start_record(&self, active: &ActiveBatch<'_>, index: usize) -> Context {
        let record = active.batch.record(index);
        let (producer, id) = (&active.context.producers[index], &active.context.ids[index]);
        let log_fields = active.batch.log_fields(index);
        let context =
            self.spans
                .start_record(&active.span, &active.context, &record, index, log_fields);
        if let Some(log_fields) = &self.log_fields {
            let _active = context.clone().attach();
            let message = Message::without_body(&active.batch, index);
            set_log_fields(&message, log_fields.as_ref());
        }
        if producer.is_link_only() {
            self.log_link_only(&context, id.as_deref());
        }
        if tracing::enabled!(tracing::Level::DEBUG) {
            let _active = context.clone().attach();
            debug!(
                message_id = id.as_deref(),
                carrier = producer.carrier.map(|carrier| carrier.as_str()),
                link = producer.xray.is_some().then_some("AWSTraceHeader"),
                ignored = producer.invalid.as_ref().map(tracing::field::display),
                "message's trace context"
            );
        }
        context
    }

    /// Logs, once per process, the settings that would continue the producer's trace. Skips the
    /// line if they would not change anything: without `tracecontext` in `OTEL_PROPAGATORS`, traces
    /// are separate on purpose, and with the trace shape `batch`, producers are only linked.
    fn log_link_only(&self, context: &Context, message_id: Option<&str>) {
        let is_continued = self.config.trace_shape == TraceShape::Continue;
        // A disabled SDK starts no trace.
        let has_trace = context.span().span_context().is_valid();
        if !is_continued || !has_trace || !self.extractor.has_trace_context() {
            return;
        }
        self.link_only_logged.call_once(|| {
            let _active = context.clone().attach();
            info!(
                message_id,
                "the message starts a new trace with a link to its producer, because AWSTraceHeader is its only trace context and \
                 OTEL_PROPAGATORS does not list xray; to continue the producer's trace, set OTEL_PROPAGATORS=tracecontext,baggage,xray \
                 for the function, or make the producer send traceparent as a message attribute (logged once per process)"
            );
        });
    }

    /// Returns a buffer for permanent failures, or `None` if they can be sent immediately.
    fn deferred_dead_letters(&self, context: &BatchContext) -> Option<DeferredDeadLetters> {
        // A failed record without an id fails the whole invocation too.
        let fails_together = self.config.partial_response == PartialResponse::Off
            || context.ids.iter().any(Option::is_none);
        (fails_together && self.failure_policy.dead_letters.is_some())
            .then(DeferredDeadLetters::default)
    }

    /// Returns the dead-letter queue if the failure is permanent and the queue can receive the
    /// record.
    fn dead_letter_queue_for(
        &self,
        active: &ActiveBatch<'_>,
        index: usize,
        failure: &RecordFailure,
    ) -> Option<&DeadLetterQueue> {
        let record = active.batch.record(index);
        let queue = self.failure_policy.dead_letters.as_ref()?;
        let is_permanent = failure.kind == FailureKind::Permanent;
        (is_permanent && queue.can_receive(&record)).then_some(queue)
    }

    /// Sends a permanently failed record to the dead-letter queue, or defers the send. Other
    /// records stay failed.
    async fn send_or_defer(
        &self,
        active: &ActiveBatch<'_>,
        index: usize,
        context: &Context,
        failure: RecordFailure,
    ) -> RecordOutcome {
        let Some(queue) = self.dead_letter_queue_for(active, index, &failure) else {
            return RecordOutcome::Failed;
        };
        let record = active.batch.record(index);
        if let Some(deferred) = &active.deferred {
            deferred.insert(index, context, failure);
            return RecordOutcome::Deferred;
        }
        if send_dead_letter(active, queue, &record, context, &failure).await {
            RecordOutcome::Done
        } else {
            RecordOutcome::Failed
        }
    }

    /// Sends the deferred failures if `batch_succeeded`, and ends their spans. Returns the records
    /// that were not sent.
    async fn send_deferred(&self, active: &ActiveBatch<'_>, batch_succeeded: bool) -> Vec<usize> {
        let (Some(queue), Some(deferred)) = (&self.failure_policy.dead_letters, &active.deferred)
        else {
            return Vec::new();
        };
        let concurrency = self.config.concurrency.get();
        deferred
            .send(active, queue, concurrency, batch_succeeded)
            .await
    }
}

/// Sets the log fields of a message. Catches a panic of `log_fields`, which is the user's code.
// Not inlined, because few functions have log fields.
#[inline(never)]
fn set_log_fields(message: &Message<()>, log_fields: &LogFields) {
    match catch_unwind(AssertUnwindSafe(|| log_fields(message))) {
        Ok(fields) => {
            for field in fields {
                message.log_field(field.key, field.value);
            }
        }
        Err(panic) => {
            warn!(
                error.message = panic_text(panic),
                "log fields not added: the function given to log_fields panicked"
            );
        }
    }
}

/// Calls the code that decodes messages and calls the handler, in `context`. A panic of that code,
/// which is the user's, becomes a failure.
fn start_handler<T>(context: &Context, start: impl FnOnce() -> T) -> Result<T, RecordFailure> {
    let _active = context.clone().attach();
    catch_unwind(AssertUnwindSafe(start)).map_err(RecordFailure::from_panic)
}

#[cfg(test)]
mod tests;
