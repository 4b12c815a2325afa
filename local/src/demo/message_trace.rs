//! The way of each message, and the batches it travelled in, found among all the spans that
//! arrived.

use std::collections::HashSet;
use std::sync::Arc;

use super::keys::{BATCH_SPAN, MESSAGING_MESSAGE_ID, PROCESS_SPAN};
use super::tree::{self, SpanNode};
use crate::otlp::{Kind, Link, Span};

/// A message that the producer accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AcceptedMessage {
    pub(super) customer_id: String,
    pub(super) message_id: String,
    pub(super) trace_id: String,
}

/// A message and everything that its trace says about it.
#[derive(Clone, Debug)]
pub(super) struct MessageTrace {
    pub(super) message: AcceptedMessage,
    /// One tree if the trace is whole.
    pub(super) trees: Vec<SpanNode>,
    /// How many spans the trace has.
    pub(super) spans: usize,
    /// The spans of its deliveries, in their order.
    pub(super) deliveries: Vec<Arc<Span>>,
    /// Whether it is in the dead-letter queue.
    pub(super) dead_lettered: bool,
}

impl MessageTrace {
    /// Whether a delivery of it was handled.
    pub(super) fn is_processed(&self) -> bool {
        self.deliveries
            .iter()
            .any(|delivery| tree::error_type(delivery).is_none())
    }
}

/// Every span once, however often it was sent: an export without an answer is repeated.
pub(super) fn deduplicate(spans: Vec<Arc<Span>>) -> Vec<Arc<Span>> {
    let mut seen = HashSet::new();
    spans
        .into_iter()
        .filter(|span| seen.insert((span.trace_id.clone(), span.span_id.clone())))
        .collect()
}

/// The way of each accepted message, in the same order.
pub(super) fn collect(
    accepted: &[AcceptedMessage],
    spans: &[Arc<Span>],
    dead_letters: &[String],
) -> Vec<MessageTrace> {
    accepted
        .iter()
        .map(|message| collect_one(message.clone(), spans, dead_letters))
        .collect()
}

fn collect_one(
    message: AcceptedMessage,
    spans: &[Arc<Span>],
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

fn is_delivery(span: &Span, message_id: &str) -> bool {
    tree::matches(span, Kind::Consumer, PROCESS_SPAN)
        && span.text(MESSAGING_MESSAGE_ID) == Some(message_id)
}

/// The batch spans, in the order of their beginning.
pub(super) fn batch_spans(spans: &[Arc<Span>]) -> Vec<Arc<Span>> {
    let mut batches = spans
        .iter()
        .filter(|span| tree::matches(span, Kind::Consumer, BATCH_SPAN))
        .cloned()
        .collect::<Vec<_>>();
    batches.sort_by_key(|batch| batch.start_unix_nano);
    batches
}

/// The message that a batch's link names.
pub(super) fn linked_message_id(link: &Link) -> Option<&str> {
    link.attributes.get(MESSAGING_MESSAGE_ID)?.as_str()
}

/// Whether one span is linked to another.
pub(super) fn has_link_to(from: &Span, to: &Span) -> bool {
    from.links
        .iter()
        .any(|link| link.trace_id == to.trace_id && link.span_id == to.span_id)
}
