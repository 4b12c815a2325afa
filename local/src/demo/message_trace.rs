//! The trace of each message, and the batches that it was delivered in, found among the spans that
//! arrived.

use std::collections::HashSet;
use std::sync::Arc;

use super::keys::{BATCH_SPAN, MESSAGING_MESSAGE_ID, PROCESS_SPAN};
use super::tree::{self, SpanNode};
use crate::otlp::{SpanKind, SpanLink, StoredSpan};

/// A message that the producer accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AcceptedMessage {
    pub(super) customer_id: String,
    pub(super) message_id: String,
    pub(super) trace_id: String,
}

/// A message and its trace.
#[derive(Clone, Debug)]
pub(super) struct MessageTrace {
    pub(super) message: AcceptedMessage,
    /// The trace as trees: one tree if the trace is complete.
    pub(super) trees: Vec<SpanNode>,
    /// Number of spans in the trace.
    pub(super) spans: usize,
    /// Spans of the deliveries, in their order.
    pub(super) deliveries: Vec<Arc<StoredSpan>>,
    /// True if the message is in the dead-letter queue.
    pub(super) dead_lettered: bool,
}

impl MessageTrace {
    /// Returns true if a delivery of the message succeeded.
    pub(super) fn is_processed(&self) -> bool {
        self.deliveries
            .iter()
            .any(|delivery| tree::error_type(delivery).is_none())
    }
}

/// Removes duplicates: an export whose response was lost is sent again.
pub(super) fn deduplicate(spans: Vec<Arc<StoredSpan>>) -> Vec<Arc<StoredSpan>> {
    let mut seen = HashSet::new();
    spans
        .into_iter()
        .filter(|span| seen.insert((span.trace_id.clone(), span.span_id.clone())))
        .collect()
}

/// Collects the trace of each accepted message, in the same order.
pub(super) fn collect(
    accepted: &[AcceptedMessage],
    spans: &[Arc<StoredSpan>],
    dead_letters: &[String],
) -> Vec<MessageTrace> {
    accepted
        .iter()
        .map(|message| collect_one(message.clone(), spans, dead_letters))
        .collect()
}

fn collect_one(
    message: AcceptedMessage,
    spans: &[Arc<StoredSpan>],
    dead_letters: &[String],
) -> MessageTrace {
    let dead_lettered = dead_letters.contains(&message.message_id);
    let trace = spans
        .iter()
        .filter(|span| span.trace_id == message.trace_id)
        .cloned()
        .collect::<Vec<_>>();
    let mut deliveries = trace
        .iter()
        .filter(|span| is_delivery(span, &message.message_id))
        .cloned()
        .collect::<Vec<_>>();
    deliveries.sort_by_key(|delivery| delivery.start_unix_nano);
    MessageTrace {
        message,
        trees: tree::build(&trace),
        spans: trace.len(),
        deliveries,
        dead_lettered,
    }
}

fn is_delivery(span: &StoredSpan, message_id: &str) -> bool {
    tree::matches(span, SpanKind::Consumer, PROCESS_SPAN)
        && span.text(MESSAGING_MESSAGE_ID) == Some(message_id)
}

/// Returns the batch spans, in the order of their start.
pub(super) fn batch_spans(spans: &[Arc<StoredSpan>]) -> Vec<Arc<StoredSpan>> {
    let mut batches = spans
        .iter()
        .filter(|span| tree::matches(span, SpanKind::Consumer, BATCH_SPAN))
        .cloned()
        .collect::<Vec<_>>();
    batches.sort_by_key(|batch| batch.start_unix_nano);
    batches
}

/// Returns the id of the message that a batch's link refers to.
pub(super) fn linked_message_id(link: &SpanLink) -> Option<&str> {
    link.attributes.get(MESSAGING_MESSAGE_ID)?.as_str()
}

/// Returns true if the first span has a link to the second.
pub(super) fn has_link_to(from: &StoredSpan, to: &StoredSpan) -> bool {
    from.links
        .iter()
        .any(|link| link.trace_id == to.trace_id && link.span_id == to.span_id)
}
