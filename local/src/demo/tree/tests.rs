use serde_json::json;

use super::super::samples::{
    batch_span, delivery_spans, producer_spans, span, with_attributes, with_times,
};
use super::*;

fn render_lines(spans: Vec<StoredSpan>) -> Vec<String> {
    render_with_width(Width::FULL, spans)
}

fn render_with_width(width: Width, spans: Vec<StoredSpan>) -> Vec<String> {
    let spans = spans.into_iter().map(Arc::new).collect::<Vec<_>>();
    render(&build(&spans), width)
        .iter()
        .map(|line| format!("{line:#}"))
        .collect()
}

/// The spans of a message that was processed on its second delivery.
fn retried() -> Vec<StoredSpan> {
    let mut spans = delivery_spans("a", "m", "b", 2, None);
    spans.extend(delivery_spans("a", "m", "c", 1, Some("simulated_failure")));
    spans.extend(producer_spans("a", "m"));
    spans
}

#[test]
fn retries_are_siblings_below_the_send() {
    assert_eq!(
        render_lines(retried()),
        [
            "  POST /onboarding  202                                                4.00 ms",
            "  └─ send onboarding                                                   2.00 ms",
            "     ├─ process onboarding  delivery 1 · queued 12.0 ms                1.00 ms",
            "     │       ✗ simulated_failure",
            "     └─ process onboarding  delivery 2 · queued 12.0 ms                1.00 ms",
            "        └─ put onboardings                                             1.00 ms",
        ]
    );
}

#[test]
fn on_a_narrow_terminal_the_notes_have_their_own_lines() {
    assert_eq!(
        render_with_width(Width::from_columns(60), retried()),
        [
            "  POST /onboarding  202                              4.00 ms",
            "  └─ send onboarding                                 2.00 ms",
            "     ├─ process onboarding  delivery 1               1.00 ms",
            "     │       queued 12.0 ms · ✗ simulated_failure",
            "     └─ process onboarding  delivery 2               1.00 ms",
            "        │    queued 12.0 ms",
            "        └─ put onboardings                           1.00 ms",
        ]
    );
    assert_eq!(
        render_with_width(Width::from_columns(44), retried()),
        [
            "  POST /onboarding  202              4.00 ms",
            "  └─ send onboarding                 2.00 ms",
            "     ├─ process onboarding           1.00 ms",
            "     │       delivery 1 · queued 12.0 ms",
            "     │       ✗ simulated_failure",
            "     └─ process onboarding           1.00 ms",
            "        │    delivery 2 · queued 12.0 ms",
            "        └─ put onboardings           1.00 ms",
        ]
    );
}

#[test]
fn a_name_that_is_too_long_is_truncated_with_its_notes_below() {
    let long = with_attributes(
        span("a", "1", None, SpanKind::Internal, &"x".repeat(80)),
        json!({"error.type": "something_went_wrong"}),
    );
    let child = span("a", "2", Some("1"), SpanKind::Internal, "child");
    for width in [44, 60, 78].map(Width::from_columns) {
        let lines = render_with_width(width, vec![long.clone(), child.clone()]);
        assert!(lines[0].contains("x…   2.00 ms"), "{lines:?}");
        assert_eq!(lines[1], "  │    ✗ something_went_wrong");
        assert!(
            lines
                .iter()
                .all(|line| line.chars().count() <= width.columns()),
            "{lines:?}"
        );
    }
}

#[test]
fn a_batch_shows_its_number_of_messages() {
    let lines = render_lines(vec![batch_span("b", &[("a", "m")])]);
    assert_eq!(
        lines,
        ["  process_batch onboarding  1 message · cold start                     2.00 ms"]
    );
}

#[test]
fn a_span_without_its_parent_is_the_root_of_another_tree() {
    let orphan = with_times(
        span("a", "9", Some("missing"), SpanKind::Internal, "orphan"),
        5,
        6,
    );
    let mut spans = vec![orphan];
    spans.extend(producer_spans("a", "m"));
    let trees = build(&spans.into_iter().map(Arc::new).collect::<Vec<_>>());
    let names = trees
        .iter()
        .map(|tree| tree.span.name.as_str())
        .collect::<Vec<_>>();
    assert_eq!(names, ["POST /onboarding", "orphan"]);
}

#[test]
fn a_cycle_of_spans_is_left_out() {
    let spans = [("1", "2"), ("2", "1"), ("3", "3")]
        .map(|(id, parent)| Arc::new(span("a", id, Some(parent), SpanKind::Internal, "x")));
    assert_eq!(build(&spans).len(), 1);
}
