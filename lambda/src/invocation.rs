//! Handling of an invocation, from its event to its response.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lambda_events::event::sqs::SqsBatchResponse;
use lambda_runtime::{Diagnostic, LambdaEvent};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::TraceContextExt as _;
use tokio::sync::Notify;

use crate::batch::{BatchProcessor, ProcessedBatch};
use crate::config::{AllFailed, ConsumerConfig, PartialResponse, is_snapstart};
use crate::deadline::{Cancellation, Deadlines};
use crate::event::{InvalidEvent, SqsBatch};
use crate::flush::{self, FlushLayer, FlushScope, Flusher};
use crate::metrics::Metrics;
use crate::panic_abort::is_restarted;
use crate::process_age::process_age;
use crate::spans::{self, InvocationInfo};

/// Handles invocations. One per process.
pub(crate) struct InvocationHandler {
    processor: BatchProcessor,
    flusher: Arc<Flusher>,
    is_cold: AtomicBool,
}

impl InvocationHandler {
    pub(crate) fn new(processor: BatchProcessor, flusher: Arc<Flusher>) -> Self {
        Self {
            processor,
            flusher,
            is_cold: AtomicBool::new(true),
        }
    }

    pub(crate) fn flush_layer(&self) -> FlushLayer {
        FlushLayer(Arc::clone(&self.flusher))
    }

    /// Records the duration of the initialisation, when the process is ready for its first
    /// invocation.
    pub(crate) fn record_init(&self) {
        if let Some(duration) = init_duration(is_snapstart(), is_restarted()) {
            self.processor.metrics.record_init(duration);
        }
    }

    /// Handles an event. Flushes before it returns, unless the flush point is after the response:
    /// in that case, the [layer](FlushLayer) flushes.
    pub(crate) async fn handle(
        self: Arc<Self>,
        event: LambdaEvent<Vec<u8>>,
    ) -> Result<SqsBatchResponse, InvocationError> {
        let LambdaEvent { payload, context } = event;
        let context = Arc::new(context);
        let config = &self.processor.config;
        let deadlines = Deadlines::from_lambda(&context, config);
        let info = InvocationInfo {
            context: &context,
            is_cold_start: self.is_cold.swap(false, Ordering::Relaxed),
        };
        let metrics = &self.processor.metrics;
        let began = metrics.start_invocation(info.is_cold_start);
        let group = self.flusher.flush_group_before_response();
        let root = flush::root_context(group.as_ref(), &context.request_id);
        let scope = FlushScope {
            request_id: &context.request_id,
            root: &root,
            deadlines: &deadlines,
        };
        let batch = match SqsBatch::parse(payload, Arc::clone(&context)) {
            Ok(batch) => batch,
            Err(invalid) => {
                metrics.finish_invocation(began, false);
                let flush = self.flusher.flush_before_response(scope);
                flush.with_context(root.clone()).await;
                return Err(invalid.into());
            }
        };
        let (cancellation, handled) = (Cancellation::new(&deadlines), Notify::new());
        let batch_response = async {
            let process = self
                .processor
                .process(batch, info, root.clone(), &cancellation);
            let processed = process.await;
            handled.notify_one();
            let response = finish_batch(&processed, config);
            count_redriven(metrics, &processed, config, response.is_err());
            metrics.finish_invocation(began, response.is_ok());
            response
        };
        let deadline_watch = self.flusher.watch_deadlines(scope, &cancellation, &handled);
        let flushed_response = async {
            let (response, ()) = tokio::join!(batch_response, deadline_watch);
            self.flusher.flush_before_response(scope).await;
            response
        };
        // All log lines about the invocation carry its request id, not only those of handlers.
        flushed_response.with_context(root.clone()).await
    }
}

/// Builds the response, and ends the batch span with its result.
fn finish_batch(
    processed: &ProcessedBatch,
    config: &ConsumerConfig,
) -> Result<SqsBatchResponse, InvocationError> {
    let response = build_response(processed, config);
    if let Err(error) = &response {
        spans::set_failure(&processed.context, error.error_type(), error.to_string());
    }
    processed.context.span().end();
    response
}

/// Counts the messages that the queue's redrive policy moves, if its `maxReceiveCount` is known. A
/// failed invocation returns all messages to the queue.
fn count_redriven(
    metrics: &Metrics,
    processed: &ProcessedBatch,
    config: &ConsumerConfig,
    has_failed: bool,
) {
    let ProcessedBatch {
        batch,
        failed,
        queues,
        ..
    } = processed;
    if let Some(max) = config.max_receive_count
        && (has_failed || !failed.is_empty())
    {
        metrics.count_redriven(queues, batch, max, |index| {
            has_failed || failed.binary_search(&index).is_ok()
        });
    }
}

/// Builds the response to a batch: the failed messages, or an error that fails the invocation.
pub(crate) fn build_response(
    processed: &ProcessedBatch,
    config: &ConsumerConfig,
) -> Result<SqsBatchResponse, InvocationError> {
    let (failed, total) = (processed.failed.len(), processed.batch.len());
    let all = failed == total && config.all_failed == AllFailed::FailInvocation;
    if failed > 0 && (all || config.partial_response == PartialResponse::Off) {
        return Err(InvocationError::Failed { failed, total });
    }
    let mut response = SqsBatchResponse::default();
    // Delivery is at least once, so a message can be in a batch twice. It is listed once, and
    // redelivered if one of its deliveries failed.
    let mut named = HashSet::new();
    for index in &processed.failed {
        // A failed message without an id cannot be listed and would be deleted. The whole
        // invocation must fail instead.
        let record = processed.batch.record(*index);
        let id = record.message_id();
        let id = id.ok_or(InvocationError::Unidentified { index: *index })?;
        if named.insert(id.clone()) {
            response.add_failure(id);
        }
    }
    Ok(response)
}

/// Error that fails the invocation, so that SQS redelivers the whole batch.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum InvocationError {
    /// The event is not an SQS event. The text names the invalid field.
    #[error("{0}")]
    Event(String),
    /// A failed message has no id in the event.
    #[error("Records[{index}] failed and has no messageId")]
    Unidentified {
        /// Position in the batch, from 0.
        index: usize,
    },
    /// Messages failed, and the configuration requires the invocation to fail.
    #[error("{failed} of {total} messages failed")]
    Failed {
        /// Number of failed messages.
        failed: usize,
        /// Number of messages in the batch.
        total: usize,
    },
}

/// Same text as `Display`, because the runtime logs the `Debug` form.
impl fmt::Debug for InvocationError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

impl InvocationError {
    /// Returns the `errorType` for Lambda and the `error.type` of the batch span.
    fn error_type(&self) -> &'static str {
        match self {
            Self::Event(_) => "InvalidEvent",
            Self::Unidentified { .. } => "UnidentifiedFailure",
            Self::Failed { .. } => "BatchFailed",
        }
    }
}

impl From<InvalidEvent> for InvocationError {
    fn from(error: InvalidEvent) -> Self {
        Self::Event(error.to_string())
    }
}

impl From<InvocationError> for Diagnostic {
    fn from(error: InvocationError) -> Self {
        Self {
            error_type: error.error_type().to_owned(),
            error_message: error.to_string(),
        }
    }
}

/// Returns the age of the process, or `None` if the age is not the duration of the initialisation:
/// after a restart, which keeps the process, and with SnapStart, which restores it from a snapshot.
fn init_duration(is_snapstart: bool, is_restarted: bool) -> Option<Duration> {
    if is_snapstart || is_restarted {
        return None;
    }
    process_age()
}

#[cfg(test)]
mod tests;
