//! A trace as a tree of spans, and the tree as text.

use std::collections::HashMap;
use std::iter::Peekable;
use std::sync::Arc;

use serde_json::Value;

use super::keys::{
    ERROR_TYPE, FAAS_COLDSTART, HTTP_RESPONSE_STATUS_CODE, MESSAGING_BATCH_MESSAGE_COUNT,
    QUEUE_LATENCY, RECEIVE_COUNT,
};
use super::text::{self, BAD, FAINT, Line, NAME, PLAIN, Width};
use crate::otlp::{Kind, Span, StatusCode};

/// Nanoseconds in a second.
const NANOS: f64 = 1e9;
/// What separates the notes behind a name.
const BETWEEN_NOTES: &str = " · ";
/// Columns that the durations at the right take, with the space before them.
const DURATION_COLUMNS: usize = 10;

/// A span and what it led to.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Arc<Span>,
    pub(super) children: Vec<Node>,
}

/// Arranges the spans of one trace. There is one tree if the trace is whole; a span whose parent is
/// missing begins a tree of its own.
pub(super) fn grow(spans: &[Arc<Span>]) -> Vec<Node> {
    let known = spans
        .iter()
        .map(|span| span.span_id.as_str())
        .collect::<Vec<_>>();
    let mut children: HashMap<&str, Vec<&Arc<Span>>> = HashMap::new();
    let mut roots = Vec::new();
    for span in spans {
        match span.parent_span_id.as_deref() {
            // A span that calls itself its parent would never be reached.
            Some(parent) if known.contains(&parent) && parent != span.span_id => {
                children.entry(parent).or_default().push(span)
            }
            _ => roots.push(span),
        }
    }
    roots.sort_by_key(|span| span.start_unix_nano);
    roots
        .into_iter()
        .map(|root| branch(root, &mut children))
        .collect()
}

/// Takes the children out of the map, so that even spans in a circle end it.
fn branch(span: &Arc<Span>, children: &mut HashMap<&str, Vec<&Arc<Span>>>) -> Node {
    let mut below = children.remove(span.span_id.as_str()).unwrap_or_default();
    below.sort_by_key(|child| child.start_unix_nano);
    Node {
        span: Arc::clone(span),
        children: below
            .into_iter()
            .map(|child| branch(child, children))
            .collect(),
    }
}

/// Draws trees, one line a span, and further lines for notes that do not fit beside the name.
pub(super) fn draw(trees: &[Node], width: Width) -> Vec<Line> {
    let mut lines = Vec::new();
    for tree in trees {
        draw_branch(tree, "  ", "  ", width, &mut lines);
    }
    lines
}

fn draw_branch(node: &Node, first: &str, rest: &str, width: Width, lines: &mut Vec<Line>) {
    let trunk = if node.children.is_empty() {
        "     "
    } else {
        "│    "
    };
    draw_span(&node.span, first, &format!("{rest}{trunk}"), width, lines);
    for (index, child) in node.children.iter().enumerate() {
        let last = index + 1 == node.children.len();
        let (branch, trunk) = if last {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        draw_branch(
            child,
            &format!("{rest}{branch}"),
            &format!("{rest}{trunk}"),
            width,
            lines,
        );
    }
}

fn draw_span(span: &Span, first: &str, below: &str, width: Width, lines: &mut Vec<Line>) {
    let beside = width.columns().saturating_sub(DURATION_COLUMNS);
    let name = text::cut(&span.name, beside.saturating_sub(first.chars().count()));
    let mut notes = notes(span).into_iter().peekable();
    let head = Line::new(FAINT, first).and(NAME, name);
    let head = fill(head, "  ", &mut notes, beside);
    lines.push(head.flush_right(PLAIN, text::duration(seconds(span)), width));
    while let Some(note) = notes.next() {
        let line = Line::new(FAINT, below).join(note);
        lines.push(fill(line, BETWEEN_NOTES, &mut notes, width.columns()));
    }
}

/// Adds notes as long as they end within `columns`, the first one behind `gap`.
fn fill(
    mut line: Line,
    mut gap: &str,
    notes: &mut Peekable<impl Iterator<Item = Line>>,
    columns: usize,
) -> Line {
    while let Some(note) =
        notes.next_if(|note| line.width() + gap.chars().count() + note.width() <= columns)
    {
        line = line.and(FAINT, gap).join(note);
        gap = BETWEEN_NOTES;
    }
    line
}

/// What is worth knowing about a span beside its name.
fn notes(span: &Span) -> Vec<Line> {
    let mut notes = Vec::new();
    if let Some(status) = span.integer(HTTP_RESPONSE_STATUS_CODE) {
        notes.push(Line::new(FAINT, status.to_string()));
    }
    if let Some(delivery) = span.integer(RECEIVE_COUNT) {
        notes.push(Line::new(FAINT, format!("delivery {delivery}")));
    }
    if let Some(latency) = span.number(QUEUE_LATENCY) {
        notes.push(Line::new(
            FAINT,
            format!("queued {}", text::duration(latency)),
        ));
    }
    if let Some(messages) = span.integer(MESSAGING_BATCH_MESSAGE_COUNT) {
        notes.push(Line::new(FAINT, text::count(messages, "message")));
    }
    if span.attributes.get(FAAS_COLDSTART) == Some(&Value::Bool(true)) {
        notes.push(Line::new(FAINT, "cold start"));
    }
    if let Some(problem) = failure(span) {
        notes.push(Line::new(BAD, format!("✗ {problem}")));
    }
    notes
}

/// What went wrong in a span, if anything.
pub(super) fn failure(span: &Span) -> Option<&str> {
    span.text(ERROR_TYPE)
        .or_else(|| (span.status.code == StatusCode::Error).then_some("error"))
}

/// How long a span took.
pub(super) fn seconds(span: &Span) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a trace of months would lose a nanosecond"
    )]
    let nanos = span.end_unix_nano.saturating_sub(span.start_unix_nano) as f64;
    nanos / NANOS
}

/// Whether a span is of this kind and name.
pub(super) fn is(span: &Span, kind: Kind, name: &str) -> bool {
    span.kind == kind && span.name == name
}

#[cfg(test)]
mod tests;
