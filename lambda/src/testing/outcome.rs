//! What a run left behind.

use std::collections::HashMap;

use aws_lambda_events::event::sqs::SqsBatchResponse;
use opentelemetry::trace::SpanKind;
use opentelemetry_semantic_conventions::attribute as key;

use super::capture::{Captured, Maker};
use super::span::Span;

/// The response of one invocation, and the spans that ended in it.
#[derive(Debug)]
pub struct Outcome {
    response: Result<SqsBatchResponse, String>,
    failed: Vec<String>,
    spans: Vec<Span>,
    /// Position in `spans` of each record's span.
    of_record: HashMap<String, usize>,
    of_batch: Option<usize>,
}

impl Outcome {
    /// The identifiers of the messages that SQS delivers again: those that the response names, or
    /// all when the invocation failed.
    #[must_use]
    pub fn failed(&self) -> &[String] {
        &self.failed
    }

    /// What the function answered.
    ///
    /// # Errors
    ///
    /// The text of the error that the invocation failed with, so that all messages are delivered
    /// again.
    pub fn response(&self) -> Result<&SqsBatchResponse, &str> {
        self.response.as_ref().map_err(String::as_str)
    }

    /// All spans of this run that have ended: the records' in the order of the batch, each followed
    /// by those inside it as they started, and the batch's last.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The span of the record with this message id. None when it was not sampled.
    #[must_use]
    pub fn record_span(&self, message_id: &str) -> Option<&Span> {
        self.of_record.get(message_id).map(|at| &self.spans[*at])
    }

    /// The span of the whole batch. None when it was not sampled, or the event was refused.
    #[must_use]
    pub fn batch_span(&self) -> Option<&Span> {
        self.of_batch.map(|at| &self.spans[at])
    }

    /// The first of the spans with this name: the short way to a span that the handler made itself.
    ///
    /// Also returns `None` for spans created with [another version of
    /// `opentelemetry`](crate#versions), which are not exported on Lambda either.
    #[must_use]
    pub fn span(&self, name: &str) -> Option<&Span> {
        self.spans.iter().find(|span| span.name == name)
    }

    /// The spans whose parent is `parent`, as they started.
    pub fn children_of<'a>(&'a self, parent: &'a Span) -> impl Iterator<Item = &'a Span> {
        self.spans.iter().filter(|span| span.is_child_of(parent))
    }

    pub(super) fn new(
        ids: &[String],
        response: Result<SqsBatchResponse, String>,
        captured: Vec<Captured>,
    ) -> Self {
        let mut outcome = Self {
            failed: match &response {
                Ok(response) => named(response),
                Err(_) => ids.to_vec(),
            },
            response,
            spans: Vec::with_capacity(captured.len()),
            of_record: HashMap::new(),
            of_batch: None,
        };
        outcome.arrange(ids, captured);
        outcome
    }

    fn arrange(&mut self, ids: &[String], mut captured: Vec<Captured>) {
        captured.sort_unstable_by_key(|captured| captured.order);
        let makers: Vec<Maker> = captured.iter().map(|captured| captured.maker).collect();
        let spans = captured.into_iter().map(|captured| Span::of(captured.span));
        let mut unplaced: Vec<(Maker, Option<Span>)> =
            makers.into_iter().zip(spans.map(Some)).collect();
        for id in ids {
            let is_of_record = |(maker, span): &(Maker, Option<Span>)| {
                *maker == Maker::Core && span.as_ref().is_some_and(|span| is_of_record(span, id))
            };
            if let Some(at) = unplaced.iter().position(is_of_record) {
                self.of_record.insert(id.clone(), self.spans.len());
                self.place(&mut unplaced, at);
            }
        }
        for at in 0..unplaced.len() {
            self.place(&mut unplaced, at);
        }
        let is_of_batch = |span: &Span| !span.attributes[key::FAAS_INVOCATION_ID].is_null();
        self.of_batch = self.spans.iter().position(is_of_batch);
    }

    /// Moves a span, then all inside it.
    fn place(&mut self, unplaced: &mut [(Maker, Option<Span>)], at: usize) {
        let Some(span) = unplaced[at].1.take() else {
            return;
        };
        let parent = span.clone();
        self.spans.push(span);
        // A child starts after its parent.
        for at in at + 1..unplaced.len() {
            let child = unplaced[at].1.as_ref();
            if child.is_some_and(|child| child.is_child_of(&parent)) {
                self.place(unplaced, at);
            }
        }
    }
}

fn is_of_record(span: &Span, id: &str) -> bool {
    span.kind == SpanKind::Consumer && span.attributes[key::MESSAGING_MESSAGE_ID] == id
}

fn named(response: &SqsBatchResponse) -> Vec<String> {
    let failures = response.batch_item_failures.iter();
    failures
        .map(|failure| failure.item_identifier.clone())
        .collect()
}
