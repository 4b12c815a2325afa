use super::super::samples::{batch_span, delivery_spans, producer_spans, span};
use super::*;

/// The spans of two messages in one batch, the second of which fails and is delivered again.
fn spans() -> Vec<StoredSpan> {
    let mut spans = producer_spans("a", "m-a");
    spans.extend(producer_spans("b", "m-b"));
    spans.extend(delivery_spans("a", "m-a", "x", 1, None));
    spans.extend(delivery_spans(
        "b",
        "m-b",
        "x",
        1,
        Some("simulated_failure"),
    ));
    spans.extend(delivery_spans("b", "m-b", "y", 2, None));
    spans.push(batch_span("x", &[("a", "m-a"), ("b", "m-b")]));
    spans.push(batch_span("y", &[("b", "m-b")]));
    spans
}

fn check(arrived: Vec<StoredSpan>) -> CheckResult {
    check_observations(&observed(arrived, spans().len()))
}

fn observed(spans: Vec<StoredSpan>, finished: usize) -> Observations {
    let accepted = ["a", "b"].map(|name| AcceptedMessage {
        customer_id: name.to_owned(),
        message_id: format!("m-{name}"),
        trace_id: name.to_owned(),
    });
    let mut span_counts = SpanCountsByProcess::default();
    let line = |finished| {
        format!(
            r#"{{"message":"telemetry flushed","spans_finished":{finished},"spans_exported":0,"spans_spilled":0,"spans_dropped":0,"spans_pending":0}}"#
        )
    };
    span_counts.read("producer", &line(4));
    span_counts.read("environment 1", &line(finished - 4));
    let spans = spans.into_iter().map(Arc::new).collect::<Vec<_>>();
    Observations {
        accepted: accepted.to_vec(),
        dead_letters: Vec::new(),
        mapping: MappingSnapshot {
            received: 3,
            deleted: 2,
            invocations: 2,
            ..MappingSnapshot::default()
        },
        totals: Totals::default(),
        span_counts,
        spans,
    }
}

fn check_observations(observed: &Observations) -> CheckResult {
    let expected = ExpectedCounts {
        accepted: 2,
        processed: 2,
        retried: 1,
        dead_lettered: 0,
    };
    compare(
        &expected,
        observed,
        &message_trace::collect(&observed.accepted, &observed.spans, &observed.dead_letters),
    )
}

fn spans_without(id: &str) -> Vec<StoredSpan> {
    let all = spans();
    let rest = all
        .iter()
        .filter(|span| span.span_id != id)
        .cloned()
        .collect::<Vec<_>>();
    assert_eq!(rest.len() + 1, all.len(), "no span {id}");
    rest
}

fn failed_rows(result: &CheckResult) -> Vec<&'static str> {
    result
        .rows
        .iter()
        .filter(|row| !row.passed())
        .map(|row| row.name)
        .collect()
}

#[test]
fn complete_traces_pass() {
    let result = check(spans());
    assert!(result.passed(), "{result:?}");
}

#[test]
fn a_lost_span_is_reported() {
    let result = check(spans_without("a-process-1-store"));
    assert_eq!(failed_rows(&result), ["spans received", "spans lost"]);
    assert_eq!(
        result.problems,
        ["a: a delivery succeeded without a CLIENT span of the store"]
    );
}

#[test]
fn a_span_that_was_not_finished_is_reported() {
    let spans = spans_without("a-process-1-store");
    let finished = spans.len();
    assert_eq!(
        failed_rows(&check_observations(&observed(spans, finished))),
        ["spans finished", "spans received"]
    );
}

#[test]
fn a_repeated_delivery_is_counted() {
    let mut spans = spans();
    spans.extend(delivery_spans("a", "m-a", "y", 2, None));
    let finished = spans.len();
    let mut observed = observed(spans, finished);
    observed.mapping.received = 4;
    let result = check_observations(&observed);
    assert_eq!(
        failed_rows(&result),
        ["retried", "spans finished", "spans received"]
    );
    assert_eq!(
        result.problems,
        [
            "a: delivery 2 is linked with 0 batch spans, expected 1",
            "the batch spans have 3 links for 4 deliveries"
        ]
    );
}

#[test]
fn a_delivery_without_a_span_is_reported() {
    let mut spans = spans_without("b-process-1");
    spans.retain(|span| span.span_id != "b-process-2" && span.span_id != "b-process-2-store");
    let result = check(spans);
    assert_eq!(failed_rows(&result), ["spans received", "spans lost"]);
    assert_eq!(
        result.problems,
        [
            r#"b: "send onboarding" has no children"#,
            "b: no span reports success, and the message is not in the dead-letter queue",
            "1 of 3 deliveries have a span",
        ]
    );
}

#[test]
fn a_missing_send_leaves_orphans() {
    let problems = check(spans_without("a-send")).problems;
    assert_eq!(
        problems,
        [
            "a: its trace has 2 root spans, expected 1",
            r#"the parent of "process onboarding" in trace a was not received"#
        ]
    );
}

#[test]
fn a_batch_must_link_each_delivery_once() {
    let mut spans = spans_without("x-batch");
    spans.push(batch_span("x", &[("a", "m-a")]));
    let problems = check(spans).problems;
    assert_eq!(
        problems,
        [
            "b: delivery 1 is linked with 0 batch spans, expected 1",
            "the batch spans have 2 links for 3 deliveries"
        ]
    );
}

#[test]
fn an_unknown_span_is_reported() {
    let mut spans = spans();
    spans.push(span("z", "1", None, SpanKind::Server, "GET /readyz"));
    assert_eq!(
        check(spans).problems,
        [r#""GET /readyz" in trace z does not belong to a message"#]
    );
}

#[test]
fn a_message_must_be_processed_or_dead_lettered() {
    let mut observed = observed(spans(), spans().len());
    observed.dead_letters = ["m-a", "m-z"].map(str::to_owned).to_vec();
    let result = check_observations(&observed);
    assert_eq!(failed_rows(&result), ["dead-lettered"]);
    let expected = [
        "a: a span reports success, but the message is in the dead-letter queue",
        "the dead-letter queue contains the unknown message m-z",
    ];
    assert_eq!(result.problems, expected);

    let mut lost = spans_without("b-process-2");
    lost.retain(|span| span.span_id != "b-process-2-store");
    assert!(check(lost).problems.contains(
        &"b: no span reports success, and the message is not in the dead-letter queue".to_owned()
    ));
}
