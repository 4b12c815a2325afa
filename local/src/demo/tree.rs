//! A trace as a tree of spans, and the tree as text.

use std::collections::HashMap;
use std::iter::Peekable;
use std::sync::Arc;

use serde_json::Value;

use super::keys::{
    ERROR_TYPE, FAAS_COLDSTART, HTTP_RESPONSE_STATUS_CODE, MESSAGING_BATCH_MESSAGE_COUNT,
    QUEUE_LATENCY, RECEIVE_COUNT,
};
use super::text::{self, DIMMED, FAILURE, NAME, PLAIN, StyledLine, Width};
use crate::otlp::{SpanKind, SpanStatusCode, StoredSpan};

/// Nanoseconds in a second.
const NANOS: f64 = 1e9;
/// Separator of the notes after a name.
const BETWEEN_NOTES: &str = " · ";
/// Columns of the durations at the right, with the space before them.
const DURATION_COLUMNS: usize = 10;

/// A span and its children.
#[derive(Clone, Debug)]
pub(super) struct SpanNode {
    pub(super) span: Arc<StoredSpan>,
    pub(super) children: Vec<SpanNode>,
}

/// Arranges the spans of a trace as trees. A complete trace is one tree; a span whose parent is
/// missing is the root of another one.
pub(super) fn build(spans: &[Arc<StoredSpan>]) -> Vec<SpanNode> {
    let known = spans
        .iter()
        .map(|span| span.span_id.as_str())
        .collect::<Vec<_>>();
    let mut children: HashMap<&str, Vec<&Arc<StoredSpan>>> = HashMap::new();
    let mut roots = Vec::new();
    for span in spans {
        match span.parent_span_id.as_deref() {
            // A span that is its own parent would not be reachable.
            Some(parent) if known.contains(&parent) && parent != span.span_id => {
                children.entry(parent).or_default().push(span)
            }
            _ => roots.push(span),
        }
    }
    roots.sort_by_key(|span| span.start_unix_nano);
    roots
        .into_iter()
        .map(|root| build_node(root, &mut children))
        .collect()
}

/// Builds the tree below `span`. The children are removed from the map, so that a cycle of spans
/// ends.
fn build_node(
    span: &Arc<StoredSpan>,
    children: &mut HashMap<&str, Vec<&Arc<StoredSpan>>>,
) -> SpanNode {
    let mut below = children.remove(span.span_id.as_str()).unwrap_or_default();
    below.sort_by_key(|child| child.start_unix_nano);
    SpanNode {
        span: Arc::clone(span),
        children: below
            .into_iter()
            .map(|child| build_node(child, children))
            .collect(),
    }
}

/// Draws trees, one line per span, and further lines for notes that do not fit after the name.
pub(super) fn render(trees: &[SpanNode], width: Width) -> Vec<StyledLine> {
    let mut lines = Vec::new();
    for tree in trees {
        render_node(tree, "  ", "  ", width, &mut lines);
    }
    lines
}

fn render_node(
    node: &SpanNode,
    first: &str,
    rest: &str,
    width: Width,
    lines: &mut Vec<StyledLine>,
) {
    let trunk = if node.children.is_empty() {
        "     "
    } else {
        "│    "
    };
    render_span(&node.span, first, &format!("{rest}{trunk}"), width, lines);
    for (index, child) in node.children.iter().enumerate() {
        let last = index + 1 == node.children.len();
        let (branch, trunk) = if last {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        render_node(
            child,
            &format!("{rest}{branch}"),
            &format!("{rest}{trunk}"),
            width,
            lines,
        );
    }
}

fn render_span(
    span: &StoredSpan,
    first: &str,
    below: &str,
    width: Width,
    lines: &mut Vec<StyledLine>,
) {
    let name_columns = width.columns().saturating_sub(DURATION_COLUMNS);
    let name = text::truncate(
        &span.name,
        name_columns.saturating_sub(first.chars().count()),
    );
    let mut notes = notes(span).into_iter().peekable();
    let head = StyledLine::new(DIMMED, first).with_text(NAME, name);
    let head = append_notes(head, "  ", &mut notes, name_columns);
    lines.push(head.align_right(PLAIN, text::duration(duration_seconds(span)), width));
    while let Some(note) = notes.next() {
        let line = StyledLine::new(DIMMED, below).append(note);
        lines.push(append_notes(
            line,
            BETWEEN_NOTES,
            &mut notes,
            width.columns(),
        ));
    }
}

/// Adds notes to a line up to `columns`, the first one after `gap`.
fn append_notes(
    mut line: StyledLine,
    mut gap: &str,
    notes: &mut Peekable<impl Iterator<Item = StyledLine>>,
    columns: usize,
) -> StyledLine {
    while let Some(note) =
        notes.next_if(|note| line.width() + gap.chars().count() + note.width() <= columns)
    {
        line = line.with_text(DIMMED, gap).append(note);
        gap = BETWEEN_NOTES;
    }
    line
}

/// Returns the notes on a span.
fn notes(span: &StoredSpan) -> Vec<StyledLine> {
    let mut notes = Vec::new();
    if let Some(status) = span.integer(HTTP_RESPONSE_STATUS_CODE) {
        notes.push(StyledLine::new(DIMMED, status.to_string()));
    }
    if let Some(delivery) = span.integer(RECEIVE_COUNT) {
        notes.push(StyledLine::new(DIMMED, format!("delivery {delivery}")));
    }
    if let Some(latency) = span.number(QUEUE_LATENCY) {
        notes.push(StyledLine::new(
            DIMMED,
            format!("queued {}", text::duration(latency)),
        ));
    }
    if let Some(messages) = span.integer(MESSAGING_BATCH_MESSAGE_COUNT) {
        notes.push(StyledLine::new(
            DIMMED,
            text::pluralise(messages, "message"),
        ));
    }
    if span.attributes.get(FAAS_COLDSTART) == Some(&Value::Bool(true)) {
        notes.push(StyledLine::new(DIMMED, "cold start"));
    }
    if let Some(problem) = error_type(span) {
        notes.push(StyledLine::new(FAILURE, format!("✗ {problem}")));
    }
    notes
}

/// Returns the error type of a span that failed.
pub(super) fn error_type(span: &StoredSpan) -> Option<&str> {
    span.text(ERROR_TYPE)
        .or_else(|| (span.status.code == SpanStatusCode::Error).then_some("error"))
}

/// Returns the duration of a span in seconds.
pub(super) fn duration_seconds(span: &StoredSpan) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a trace of months would lose a nanosecond"
    )]
    let nanos = span.end_unix_nano.saturating_sub(span.start_unix_nano) as f64;
    nanos / NANOS
}

/// Returns true if a span has this kind and name.
pub(super) fn matches(span: &StoredSpan, kind: SpanKind, name: &str) -> bool {
    span.kind == kind && span.name == name
}

#[cfg(test)]
mod tests;
