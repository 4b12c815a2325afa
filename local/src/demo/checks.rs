//! Comparison of the observations with the expected results.

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
use crate::otlp::{SpanKind, StoredSpan, Totals};

/// Observations after the end of the demo.
#[derive(Clone, Debug)]
pub(super) struct Observations {
    /// The messages that the producer accepted.
    pub(super) accepted: Vec<AcceptedMessage>,
    /// The ids of the messages in the dead-letter queue.
    pub(super) dead_letters: Vec<String>,
    /// Counters of the event source mapping.
    pub(super) mapping: MappingSnapshot,
    /// The spans that arrived, without duplicates.
    pub(super) spans: Vec<Arc<StoredSpan>>,
    /// Counters of the OTLP receiver.
    pub(super) totals: Totals,
    /// Span counts in the logs of the processes.
    pub(super) span_counts: SpanCountsByProcess,
}

/// A row of the table of counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) expected: u64,
    pub(super) actual: u64,
}

impl Row {
    fn new(name: &'static str, expected: usize, actual: u64) -> Self {
        Self {
            name,
            expected: expected as u64,
            actual,
        }
    }

    pub(super) fn passed(&self) -> bool {
        self.expected == self.actual
    }
}

/// The table of counts, and the problems of the traces.
#[derive(Clone, Debug)]
pub(super) struct CheckResult {
    pub(super) rows: Vec<Row>,
    /// One sentence per problem.
    pub(super) problems: Vec<String>,
}

impl CheckResult {
    /// Returns true if all results are as expected.
    pub(super) fn passed(&self) -> bool {
        self.problems.is_empty() && self.rows.iter().all(Row::passed)
    }
}

/// Compares the observations with the expected results.
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
    // The mapping counts these without spans, so that lost telemetry is not taken for lost
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
            actual: finished,
        },
        Row {
            name: "spans received",
            expected: spans,
            actual: received,
        },
        Row {
            name: "spans lost",
            expected: 0,
            actual: finished.saturating_sub(received),
        },
    ]
}

/// Returns the expected number of spans: server and send for each request, one for each delivery
/// and each batch, and the store's for each success.
fn expected_spans(expected: &ExpectedCounts, invocations: u64) -> u64 {
    (2 * expected.accepted + expected.deliveries() + expected.processed) as u64 + invocations
}

/// Returns the problems of a message's trace.
fn check_message(trace: &MessageTrace, batches: &[Arc<StoredSpan>]) -> Vec<String> {
    let mut defects = check_tree(trace);
    match (trace.is_processed(), trace.dead_lettered) {
        (true, true) => defects
            .push("a span reports success, but the message is in the dead-letter queue".to_owned()),
        (false, false) => defects.push(
            "no span reports success, and the message is not in the dead-letter queue".to_owned(),
        ),
        _ => {}
    }
    for (index, delivery) in trace.deliveries.iter().enumerate() {
        let number = index + 1;
        if delivery.integer(RECEIVE_COUNT) != i64::try_from(number).ok() {
            let actual = delivery
                .attributes
                .get(RECEIVE_COUNT)
                .map_or_else(|| "none".to_owned(), ToString::to_string);
            defects.push(format!("delivery {number} has the receive count {actual}"));
        }
        let linking = batches
            .iter()
            .filter(|batch| are_linked(batch, delivery, trace))
            .count();
        if linking != 1 {
            defects.push(format!(
                "delivery {number} is linked with {linking} batch spans, expected 1"
            ));
        }
    }
    defects
        .into_iter()
        .map(|defect| format!("{}: {defect}", trace.message.customer_id))
        .collect()
}

/// Checks that the trace is one tree: the server's span, one send below it, and below that at least
/// one delivery and nothing else.
fn check_tree(trace: &MessageTrace) -> Vec<String> {
    let [root] = trace.trees.as_slice() else {
        return vec![format!(
            "its trace has {} root spans, expected 1",
            trace.trees.len()
        )];
    };
    let mut defects = Vec::new();
    if span_count(root) != trace.spans {
        defects.push(format!(
            "its trace has {} spans, of which {} are in the tree of the root",
            trace.spans,
            span_count(root)
        ));
    }
    if !tree::matches(&root.span, SpanKind::Server, SERVER_SPAN)
        || root.span.integer(HTTP_RESPONSE_STATUS_CODE) != Some(202)
    {
        defects.push(format!(
            "its root span is not {SERVER_SPAN:?} with status 202"
        ));
    }
    match root.children.as_slice() {
        [send] => defects.extend(check_send(send, trace.deliveries.len())),
        others => defects.push(format!(
            "{} spans are children of {SERVER_SPAN:?}, expected 1",
            others.len()
        )),
    }
    defects
}

fn check_send(send: &SpanNode, expected: usize) -> Vec<String> {
    let mut defects = Vec::new();
    if !tree::matches(&send.span, SpanKind::Producer, SEND_SPAN) {
        defects.push(format!(
            "{:?} is the child of {SERVER_SPAN:?}, expected {SEND_SPAN:?}",
            send.span.name
        ));
    }
    let is_delivery =
        |child: &&SpanNode| tree::matches(&child.span, SpanKind::Consumer, PROCESS_SPAN);
    if send.children.is_empty() {
        defects.push(format!("{SEND_SPAN:?} has no children"));
    } else if send.children.iter().filter(is_delivery).count() != expected {
        defects.push(format!(
            "not every {PROCESS_SPAN:?} is a child of {SEND_SPAN:?}"
        ));
    }
    defects.extend(send.children.iter().filter_map(check_store));
    defects
}

/// Checks that a successful delivery has a span of the store.
fn check_store(delivery: &SpanNode) -> Option<String> {
    let stored = delivery
        .children
        .iter()
        .any(|child| child.span.kind == SpanKind::Client);
    (tree::error_type(&delivery.span).is_none() && !stored)
        .then(|| "a delivery succeeded without a CLIENT span of the store".to_owned())
}

/// Returns true if the batch and the delivery are linked with each other. The batch links to the
/// span that sent the message.
fn are_linked(batch: &StoredSpan, delivery: &StoredSpan, trace: &MessageTrace) -> bool {
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

/// Returns the spans whose parent was not received.
fn find_orphans(spans: &[Arc<StoredSpan>]) -> Vec<String> {
    let known = spans
        .iter()
        .map(|span| (span.trace_id.as_str(), span.span_id.as_str()))
        .collect::<HashSet<_>>();
    let is_orphan = |span: &&Arc<StoredSpan>| {
        span.parent_span_id
            .as_deref()
            .is_some_and(|parent| !known.contains(&(span.trace_id.as_str(), parent)))
    };
    spans
        .iter()
        .filter(is_orphan)
        .map(|span| {
            format!(
                "the parent of {:?} in trace {} was not received",
                span.name, span.trace_id
            )
        })
        .collect()
}

/// Returns deliveries and batches without a span, links without a delivery, and spans that belong
/// to neither a message nor a batch.
fn find_unexpected(
    observed: &Observations,
    traces: &[MessageTrace],
    batches: &[Arc<StoredSpan>],
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
            "{deliveries} of {delivered} deliveries have a span"
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
    let is_unknown = |span: &&Arc<StoredSpan>| {
        !traces.contains(span.trace_id.as_str()) && span.name != BATCH_SPAN
    };
    let unknown = observed.spans.iter().filter(is_unknown);
    problems.extend(unknown.map(|span| {
        format!(
            "{:?} in trace {} does not belong to a message",
            span.name, span.trace_id
        )
    }));
    problems
}

/// Returns dead letters that the demo did not send.
fn find_unknown_dead_letters(observed: &Observations) -> Vec<String> {
    let is_known = |id: &str| {
        observed
            .accepted
            .iter()
            .any(|message| message.message_id == id)
    };
    let unknown = observed.dead_letters.iter().filter(|id| !is_known(id));
    unknown
        .map(|id| format!("the dead-letter queue contains the unknown message {id}"))
        .collect()
}

/// Returns the numbers of spans that a process or the receiver lost.
fn find_lost_spans(observed: &Observations) -> Vec<String> {
    let counts = observed.span_counts.total();
    let sums = [
        (counts.spilled, "spilled to the logs"),
        (counts.dropped, "dropped by the processes"),
        (counts.pending, "still pending at the last flush"),
        (observed.totals.rejected, "rejected by the receiver"),
        (observed.totals.dropped, "dropped by the receiver"),
    ];
    let mut problems = sums
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, fate)| format!("{number} spans were {fate}"))
        .collect::<Vec<_>>();
    if observed.span_counts.process_count() < 2 {
        problems.push(
            "the span counts are missing from the log of the producer or the function".to_owned(),
        );
    }
    problems
}

#[cfg(test)]
mod tests;
