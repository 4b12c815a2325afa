//! The arrival of the records' spans.

use std::collections::HashSet;
use std::time::Instant;

use baton_test_support::{Invocation, Record, Span, SpanKind};

/// Numbers of spans by their time of arrival.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Spans of records that arrived before the response.
    pub(crate) before_response: usize,
    /// Spans of records that arrived after the response and before the process asked for the next
    /// event.
    pub(crate) before_next: usize,
    /// Spans of records that arrived later, when Lambda may have frozen the process.
    pub(crate) late: usize,
    /// Records whose span never arrived.
    pub(crate) lost: usize,
    /// Records that a batch span links to.
    pub(crate) linked: usize,
    /// Batch spans.
    pub(crate) batches: usize,
    /// Duplicates of spans that had arrived before.
    pub(crate) again: usize,
    /// Spans that belong neither to a record nor to a batch.
    pub(crate) foreign: usize,
}

/// Counts the spans of these invocations, each of which has `batch` records, numbered as in
/// `orders`.
pub(crate) fn tally(spans: &[Span], invocations: &[Invocation], batch: u64) -> Tally {
    let mut tally = Tally::default();
    let mut matched = HashSet::new();
    let mut linked = HashSet::new();
    let mut seen = HashSet::new();
    for span in spans {
        if !seen.insert((&span.trace_id, &span.span_id)) {
            tally.again += 1;
            continue;
        }
        if !span.links.is_empty() && span.parent_span_id.is_none() {
            linked.extend(
                span.links
                    .iter()
                    .filter_map(|link| record_number(&link.trace_id, Some(&link.span_id))),
            );
            tally.batches += 1;
            continue;
        }
        let number = record_number(&span.trace_id, span.parent_span_id.as_deref());
        let number =
            number.filter(|number| span.kind == SpanKind::Consumer && matched.insert(*number));
        let invocation = number.and_then(|number| usize::try_from(number / batch).ok());
        match invocation.and_then(|index| invocations.get(index)) {
            Some(invocation) => tally.count(span.arrived_at, invocation),
            None => tally.foreign += 1,
        }
    }
    let records = invocations.len() * usize::try_from(batch).unwrap_or(usize::MAX);
    tally.lost = records.saturating_sub(matched.len());
    tally.linked = linked.len();
    tally
}

impl Tally {
    fn count(&mut self, arrived_at: Instant, invocation: &Invocation) {
        if arrived_at < invocation.responded_at {
            self.before_response += 1;
        } else if arrived_at < invocation.ready_again_at {
            self.before_next += 1;
        } else {
            self.late += 1;
        }
    }
}

/// Returns the number of the record that was sent in this trace and span.
fn record_number(trace_id: &str, span_id: Option<&str>) -> Option<u64> {
    let number = u64::from_str_radix(trace_id.get(16..)?, 16)
        .ok()?
        .checked_sub(1)?;
    let is_match =
        Record::trace_id(number) == trace_id && span_id == Some(Record::span_id(number).as_str());
    is_match.then_some(number)
}
