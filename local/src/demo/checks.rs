//! Whether what was seen is exactly what must be.

use std::collections::HashSet;
use std::sync::Arc;

use super::keys::{
    BATCH_SPAN, HTTP_RESPONSE_STATUS_CODE, PROCESS_SPAN, RECEIVE_COUNT, SEND_SPAN, SERVER_SPAN,
};
use super::message_trace::{self, AcceptedMessage, MessageTrace};
use super::scenario::ExpectedCounts;
use super::span_counts::SpanCountsByProcess;
use super::tree::{self, SpanNode};
use crate::mapping::MappingSnapshot;
use crate::otlp::{Kind, Span, Totals};

/// Everything that was seen from outside once all was done.
#[derive(Clone, Debug)]
pub(super) struct Observations {
    /// The messages that the producer accepted.
    pub(super) accepted: Vec<AcceptedMessage>,
    /// The ids of the messages in the dead-letter queue.
    pub(super) dead_letters: Vec<String>,
    /// What the event source mapping has delivered, and deleted as handled.
    pub(super) mapping: MappingSnapshot,
    /// The spans that arrived, each once.
    pub(super) spans: Vec<Arc<Span>>,
    /// The receiver's own count.
    pub(super) totals: Totals,
    /// What the processes say about their spans.
    pub(super) span_counts: SpanCountsByProcess,
}

/// One line of the closing table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) expected: u64,
    pub(super) seen: u64,
}

impl Row {
    fn new(name: &'static str, expected: usize, seen: u64) -> Self {
        Self {
            name,
            expected: expected as u64,
            seen,
        }
    }

    pub(super) fn passed(&self) -> bool {
        self.expected == self.seen
    }
}

/// The closing table, and what is wrong with the traces.
#[derive(Clone, Debug)]
pub(super) struct CheckResult {
    pub(super) rows: Vec<Row>,
    /// One sentence each; none if all is well.
    pub(super) problems: Vec<String>,
}

impl CheckResult {
    /// Whether all is exactly as it must be.
    pub(super) fn passed(&self) -> bool {
        self.problems.is_empty() && self.rows.iter().all(Row::passed)
    }
}

/// Compares what was seen with what must be.
pub(super) fn compare(
    expected: &ExpectedCounts,
    observed: &Observations,
    traces: &[MessageTrace],
) -> CheckResult {
    let batches = message_trace::batch_spans(&observed.spans);
    let mut problems = traces
        .iter()
        .flat_map(|trace| check_message(trace, &batches))
        .collect::<Vec<_>>();
    problems.extend(find_orphans(&observed.spans));
    problems.extend(find_unexpected(observed, traces, &batches));
    problems.extend(find_unknown_dead_letters(observed));
    problems.extend(find_lost_spans(observed));
    CheckResult {
        rows: rows(expected, observed),
        problems,
    }
}

fn rows(expected: &ExpectedCounts, observed: &Observations) -> Vec<Row> {
    // The mapping knows these without any span, so that lost telemetry does not pass for lost
    // messages.
    let accepted = observed.accepted.len();
    let retried = observed.mapping.received.saturating_sub(accepted as u64);
    let finished = observed.span_counts.total().finished;
    let received = observed.spans.len() as u64;
    let spans = expected_spans(expected, observed.mapping.invocations);
    vec![
        Row::new("accepted", expected.accepted, accepted as u64),
        Row::new("processed", expected.processed, observed.mapping.deleted),
        Row::new("retried", expected.retried, retried),
        Row::new(
            "dead-lettered",
            expected.dead_lettered,
            observed.dead_letters.len() as u64,
        ),
        Row {
            name: "spans finished",
            expected: spans,
            seen: finished,
        },
        Row {
            name: "spans received",
            expected: spans,
            seen: received,
        },
        Row {
            name: "spans lost",
            expected: 0,
            seen: finished.saturating_sub(received),
        },
    ]
}

/// How many spans there must be: server and send for each request, one for each delivery and each
/// batch, and the store's for each success.
fn expected_spans(expected: &ExpectedCounts, invocations: u64) -> u64 {
    (2 * expected.accepted + expected.deliveries() + expected.processed) as u64 + invocations
}

/// What is wrong with the trace of one message.
fn check_message(trace: &MessageTrace, batches: &[Arc<Span>]) -> Vec<String> {
    let mut defects = check_tree(trace);
    match (trace.is_processed(), trace.dead_lettered) {
        (true, true) => {
            defects.push("a span says that it was handled, and it is a dead letter".to_owned())
        }
        (false, false) => {
            defects.push("no span says that it was handled, and it is no dead letter".to_owned())
        }
        _ => {}
    }
    for (index, delivery) in trace.deliveries.iter().enumerate() {
        let number = index + 1;
        if delivery.integer(RECEIVE_COUNT) != i64::try_from(number).ok() {
            let seen = delivery
                .attributes
                .get(RECEIVE_COUNT)
                .map_or_else(|| "no number".to_owned(), ToString::to_string);
            defects.push(format!("delivery {number} says that it is delivery {seen}"));
        }
        let linking = batches
            .iter()
            .filter(|batch| are_linked(batch, delivery, trace))
            .count();
        if linking != 1 {
            defects.push(format!(
                "delivery {number} is linked with {linking} batch spans instead of 1"
            ));
        }
    }
    defects
        .into_iter()
        .map(|defect| format!("{}: {defect}", trace.message.customer_id))
        .collect()
}

/// The trace must be one tree: the server's span, one send below it, and below that nothing but
/// deliveries, at least one.
fn check_tree(trace: &MessageTrace) -> Vec<String> {
    let [root] = trace.trees.as_slice() else {
        return vec![format!(
            "its trace is in {} pieces instead of 1",
            trace.trees.len()
        )];
    };
    let mut defects = Vec::new();
    if span_count(root) != trace.spans {
        defects.push(format!(
            "its trace has {} spans, of which the root reaches {}",
            trace.spans,
            span_count(root)
        ));
    }
    if !tree::matches(&root.span, Kind::Server, SERVER_SPAN)
        || root.span.integer(HTTP_RESPONSE_STATUS_CODE) != Some(202)
    {
        defects.push(format!(
            "its trace does not begin with {SERVER_SPAN:?} answered 202"
        ));
    }
    match root.children.as_slice() {
        [send] => defects.extend(check_send(send, trace.deliveries.len())),
        others => defects.push(format!(
            "{} spans are below {SERVER_SPAN:?} instead of 1",
            others.len()
        )),
    }
    defects
}

fn check_send(send: &SpanNode, expected: usize) -> Vec<String> {
    let mut defects = Vec::new();
    if !tree::matches(&send.span, Kind::Producer, SEND_SPAN) {
        defects.push(format!(
            "{:?} is where {SEND_SPAN:?} should be",
            send.span.name
        ));
    }
    let is_delivery = |child: &&SpanNode| tree::matches(&child.span, Kind::Consumer, PROCESS_SPAN);
    if send.children.is_empty() {
        defects.push(format!("its trace ends with {SEND_SPAN:?}"));
    } else if send.children.iter().filter(is_delivery).count() != expected {
        defects.push(format!("not every {PROCESS_SPAN:?} is below {SEND_SPAN:?}"));
    }
    defects.extend(send.children.iter().filter_map(check_store));
    defects
}

/// A delivery that succeeded must have stored something.
fn check_store(delivery: &SpanNode) -> Option<String> {
    let stored = delivery
        .children
        .iter()
        .any(|child| child.span.kind == Kind::Client);
    (tree::error_type(&delivery.span).is_none() && !stored)
        .then(|| "it was handled without a CLIENT span of the store".to_owned())
}

/// Whether the batch and the delivery are linked with each other, by way of the span that sent the
/// message.
fn are_linked(batch: &Span, delivery: &Span, trace: &MessageTrace) -> bool {
    let links_message = batch.links.iter().any(|link| {
        link.trace_id == delivery.trace_id
            && Some(link.span_id.as_str()) == delivery.parent_span_id.as_deref()
            && message_trace::linked_message_id(link) == Some(&trace.message.message_id)
    });
    links_message && message_trace::has_link_to(delivery, batch)
}

fn span_count(node: &SpanNode) -> usize {
    1 + node.children.iter().map(span_count).sum::<usize>()
}

/// Spans whose parent never arrived.
fn find_orphans(spans: &[Arc<Span>]) -> Vec<String> {
    let known = spans
        .iter()
        .map(|span| (span.trace_id.as_str(), span.span_id.as_str()))
        .collect::<HashSet<_>>();
    let is_orphan = |span: &&Arc<Span>| {
        span.parent_span_id
            .as_deref()
            .is_some_and(|parent| !known.contains(&(span.trace_id.as_str(), parent)))
    };
    spans
        .iter()
        .filter(is_orphan)
        .map(|span| {
            format!(
                "{:?} in trace {} has a parent that never arrived",
                span.name, span.trace_id
            )
        })
        .collect()
}

/// Deliveries and batches without their span, links without their delivery, and spans that belong
/// to no message and no batch.
fn find_unexpected(
    observed: &Observations,
    traces: &[MessageTrace],
    batches: &[Arc<Span>],
) -> Vec<String> {
    let links = batches.iter().map(|batch| batch.links.len()).sum::<usize>() as u64;
    let deliveries = traces
        .iter()
        .map(|trace| trace.deliveries.len())
        .sum::<usize>() as u64;
    let delivered = observed.mapping.received;
    let mut problems = Vec::new();
    if deliveries != delivered {
        problems.push(format!(
            "{deliveries} deliveries have a span, of {delivered}"
        ));
    }
    if links != delivered {
        problems.push(format!(
            "the batch spans have {links} links for {delivered} deliveries"
        ));
    }
    let traces = traces
        .iter()
        .map(|trace| trace.message.trace_id.as_str())
        .collect::<HashSet<_>>();
    let is_stranger =
        |span: &&Arc<Span>| !traces.contains(span.trace_id.as_str()) && span.name != BATCH_SPAN;
    let strangers = observed.spans.iter().filter(is_stranger);
    problems.extend(strangers.map(|span| {
        format!(
            "{:?} in trace {} belongs to no message",
            span.name, span.trace_id
        )
    }));
    problems
}

/// Dead letters that nobody sent.
fn find_unknown_dead_letters(observed: &Observations) -> Vec<String> {
    let is_known = |id: &str| {
        observed
            .accepted
            .iter()
            .any(|message| message.message_id == id)
    };
    let unknown = observed.dead_letters.iter().filter(|id| !is_known(id));
    unknown
        .map(|id| format!("the dead-letter queue has a message {id} that was never accepted"))
        .collect()
}

/// Spans that a process or the receiver had to give up.
fn find_lost_spans(observed: &Observations) -> Vec<String> {
    let counts = observed.span_counts.total();
    let sums = [
        (
            counts.spilled,
            "not taken by the receiver and written to the logs",
        ),
        (counts.dropped, "dropped by the processes"),
        (
            counts.pending,
            "still in the processes' buffers at their last flush",
        ),
        (observed.totals.rejected, "refused by the receiver"),
        (observed.totals.dropped, "dropped by the receiver"),
    ];
    let mut problems = sums
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{number} spans were {what}"))
        .collect::<Vec<_>>();
    if observed.span_counts.process_count() < 2 {
        problems.push("the logs of the producer and the function do not both say how many spans they finished".to_owned());
    }
    problems
}

#[cfg(test)]
mod tests;
