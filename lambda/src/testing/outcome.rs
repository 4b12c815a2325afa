//! Result of a test run.

use std::collections::{BTreeMap, HashMap};

use aws_lambda_events::event::sqs::SqsBatchResponse;
use opentelemetry::trace::SpanKind;
use opentelemetry_semantic_conventions::attribute as key;

use super::capture::{Captured, CapturedSpan, SpanSource};
#[cfg(feature = "dead-letter-queue")]
use super::dead_letters::DeadLetter;
use super::measurements::Measurement;
use super::span::FinishedSpan;
use crate::batch::RecordFailure;
use crate::failure::FailureKind;

/// Failure of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageFailure {
    /// The kind of the failure. A message that was not handled, for example because an earlier one
    /// of its group failed, is retryable.
    pub kind: FailureKind,
    /// The `error.type`.
    pub error_type: String,
    /// The text of the error and its causes.
    pub description: String,
}

/// Response of one invocation, and the spans, log lines and measurements that it created.
///
/// ```
/// use baton_lambda::testing::Batch;
/// use baton_lambda::{Failure, Message};
///
/// async fn handle(message: Message<u32>) -> Result<(), Failure> {
///     match message.body {
///         0 => Err(Failure::permanent("empty_order", "nothing was ordered")),
///         _ => Ok(()),
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let outcome = Batch::standard("orders").message(1).message(0).run(handle).await;
/// assert_eq!(outcome.failed(), ["message-2"]);
/// assert_eq!(outcome.response().unwrap().batch_item_failures.len(), 1);
/// let span = outcome.record_span("message-2").unwrap();
/// assert_eq!(span.attributes["error.type"], "empty_order");
/// assert_eq!(span.error.as_deref(), Some("nothing was ordered"));
/// # }
/// ```
#[derive(Debug)]
pub struct Outcome {
    response: Result<SqsBatchResponse, String>,
    failed: Vec<String>,
    failures: BTreeMap<String, MessageFailure>,
    spans: Vec<FinishedSpan>,
    log: Vec<serde_json::Value>,
    measurements: Vec<Measurement>,
    #[cfg(feature = "dead-letter-queue")]
    dead_letters: Vec<DeadLetter>,
    /// Position in `spans` of each record's span.
    record_positions: HashMap<String, usize>,
    batch_position: Option<usize>,
}

impl Outcome {
    /// Returns the ids of the messages that SQS redelivers: those that the response lists, or all
    /// if the invocation failed.
    #[must_use]
    pub fn failed(&self) -> &[String] {
        &self.failed
    }

    /// Returns the response of the function.
    ///
    /// # Errors
    ///
    /// Returns the text of the error if the invocation failed. SQS then redelivers all messages.
    pub fn response(&self) -> Result<&SqsBatchResponse, &str> {
        self.response.as_ref().map_err(String::as_str)
    }

    /// Returns the failure of the message with this id, or `None` if it was handled. A message that
    /// was sent to the dead-letter queue has a failure too.
    #[must_use]
    pub fn failure(&self, message_id: &str) -> Option<&MessageFailure> {
        self.failures.get(message_id)
    }

    /// Returns the log lines of the batch and its messages as JSON objects, with the keys that they
    /// have on Lambda: those of the handler and the runtime, down to level INFO. Lines of a task
    /// without the message's context are missing. All lines are missing if the process has its own
    /// `tracing` subscriber without the [layer](super::capture_layer).
    #[must_use]
    pub fn log(&self) -> &[serde_json::Value] {
        &self.log
    }

    /// Returns the values that were recorded with this instrument, in their order: those of the
    /// runtime, and those that the handler recorded in the context of its message, with a meter
    /// from `opentelemetry::global::meter`. Observable instruments are not captured.
    pub fn measurements(&self, name: &str) -> impl Iterator<Item = &Measurement> {
        let named = move |measurement: &&Measurement| measurement.name == name;
        self.measurements.iter().filter(named)
    }

    /// Returns the messages that were sent to the [dead-letter
    /// queue](super::Batch::dead_letter_queue), in their order. Requires the feature
    /// `dead-letter-queue`.
    #[cfg(feature = "dead-letter-queue")]
    #[must_use]
    pub fn dead_letters(&self) -> &[DeadLetter] {
        &self.dead_letters
    }

    /// Returns all spans of this run that have ended: the record spans in the order of the batch,
    /// each followed by its descendants in the order in which they started, and last the batch
    /// span.
    #[must_use]
    pub fn spans(&self) -> &[FinishedSpan] {
        &self.spans
    }

    /// Returns the span of the record with this message id, or `None` if it was not sampled.
    #[must_use]
    pub fn record_span(&self, message_id: &str) -> Option<&FinishedSpan> {
        self.record_positions
            .get(message_id)
            .map(|at| &self.spans[*at])
    }

    /// Returns the span of the batch, or `None` if it was not sampled or the event was invalid.
    #[must_use]
    pub fn batch_span(&self) -> Option<&FinishedSpan> {
        self.batch_position.map(|at| &self.spans[at])
    }

    /// Returns the first span with this name, such as a span that the handler has created.
    ///
    /// Spans created with [another version of `opentelemetry`](crate#versions) are not found. They
    /// are not exported on Lambda either.
    #[must_use]
    pub fn span(&self, name: &str) -> Option<&FinishedSpan> {
        self.spans.iter().find(|span| span.name == name)
    }

    /// Returns the children of `parent`, in the order in which they started.
    pub fn children_of<'a>(
        &'a self,
        parent: &'a FinishedSpan,
    ) -> impl Iterator<Item = &'a FinishedSpan> {
        self.spans.iter().filter(|span| span.is_child_of(parent))
    }

    pub(super) fn new(
        ids: &[String],
        response: Result<SqsBatchResponse, String>,
        captured: Captured,
    ) -> Self {
        let mut outcome = Self {
            failed: match &response {
                Ok(response) => failed_ids(response),
                Err(_) => ids.to_vec(),
            },
            response,
            failures: BTreeMap::new(),
            spans: Vec::with_capacity(captured.spans.len()),
            log: captured.log,
            measurements: captured.measurements,
            #[cfg(feature = "dead-letter-queue")]
            dead_letters: Vec::new(),
            record_positions: HashMap::new(),
            batch_position: None,
        };
        outcome.sort_spans(ids, captured.spans);
        outcome
    }

    /// Adds failures by the positions of their records in `ids`.
    pub(super) fn with_failures(
        mut self,
        ids: &[String],
        failures: impl IntoIterator<Item = (usize, RecordFailure)>,
    ) -> Self {
        let failures = failures.into_iter().map(|(index, failure)| {
            let failure = MessageFailure {
                kind: failure.kind,
                error_type: failure.error_type.to_owned(),
                description: failure.description,
            };
            (ids[index].clone(), failure)
        });
        self.failures.extend(failures);
        self
    }

    #[cfg(feature = "dead-letter-queue")]
    pub(super) fn with_dead_letters(mut self, dead_letters: Vec<DeadLetter>) -> Self {
        self.dead_letters = dead_letters;
        self
    }

    /// Sorts the spans as [`spans`](Self::spans) returns them.
    fn sort_spans(&mut self, ids: &[String], mut captured: Vec<CapturedSpan>) {
        captured.sort_unstable_by_key(|captured| captured.order);
        let sources: Vec<SpanSource> = captured.iter().map(|captured| captured.source).collect();
        let spans = captured
            .into_iter()
            .map(|captured| FinishedSpan::from_data(captured.span));
        let mut unplaced: Vec<(SpanSource, Option<FinishedSpan>)> =
            sources.into_iter().zip(spans.map(Some)).collect();
        for id in ids {
            let is_record_span = |(source, span): &(SpanSource, Option<FinishedSpan>)| {
                *source == SpanSource::Runtime
                    && span.as_ref().is_some_and(|span| is_record_span(span, id))
            };
            if let Some(at) = unplaced.iter().position(is_record_span) {
                self.record_positions.insert(id.clone(), self.spans.len());
                self.push_with_descendants(&mut unplaced, at);
            }
        }
        for at in 0..unplaced.len() {
            self.push_with_descendants(&mut unplaced, at);
        }
        let is_batch_span =
            |span: &FinishedSpan| !span.attributes[key::FAAS_INVOCATION_ID].is_null();
        self.batch_position = self.spans.iter().position(is_batch_span);
    }

    /// Moves a span to `self.spans`, followed by its descendants.
    fn push_with_descendants(
        &mut self,
        unplaced: &mut [(SpanSource, Option<FinishedSpan>)],
        at: usize,
    ) {
        let Some(span) = unplaced[at].1.take() else {
            return;
        };
        let parent = span.clone();
        self.spans.push(span);
        // A child starts after its parent, so it follows the parent in the order.
        for at in at + 1..unplaced.len() {
            let child = unplaced[at].1.as_ref();
            if child.is_some_and(|child| child.is_child_of(&parent)) {
                self.push_with_descendants(unplaced, at);
            }
        }
    }
}

fn is_record_span(span: &FinishedSpan, id: &str) -> bool {
    span.kind == SpanKind::Consumer && span.attributes[key::MESSAGING_MESSAGE_ID] == id
}

fn failed_ids(response: &SqsBatchResponse) -> Vec<String> {
    let failures = response.batch_item_failures.iter();
    failures
        .map(|failure| failure.item_identifier.clone())
        .collect()
}
