use super::super::samples::{batch, delivered, produced, span};
use super::*;

/// Two messages in one batch; the second one fails and comes again.
fn spans() -> Vec<Span> {
    let mut spans = produced("a", "m-a");
    spans.extend(produced("b", "m-b"));
    spans.extend(delivered("a", "m-a", "x", 1, None));
    spans.extend(delivered("b", "m-b", "x", 1, Some("simulated_failure")));
    spans.extend(delivered("b", "m-b", "y", 2, None));
    spans.push(batch("x", &[("a", "m-a"), ("b", "m-b")]));
    spans.push(batch("y", &[("b", "m-b")]));
    spans
}

fn verdict(arrived: Vec<Span>) -> Verdict {
    judged(&observed(arrived, spans().len()))
}

fn observed(spans: Vec<Span>, finished: usize) -> Observed {
    let accepted = ["a", "b"].map(|name| Accepted {
        customer_id: name.to_owned(),
        message_id: format!("m-{name}"),
        trace_id: name.to_owned(),
    });
    let mut ledger = Ledger::default();
    let line = |finished| {
        format!(
            r#"{{"message":"telemetry flushed","spans_finished":{finished},"spans_exported":0,"spans_spilled":0,"spans_dropped":0,"spans_pending":0}}"#
        )
    };
    ledger.read("producer", &line(4));
    ledger.read("environment 1", &line(finished - 4));
    let spans = spans.into_iter().map(Arc::new).collect::<Vec<_>>();
    Observed {
        accepted: accepted.to_vec(),
        dead_letters: Vec::new(),
        fed: MappingSnapshot {
            received: 3,
            deleted: 2,
            invocations: 2,
            ..MappingSnapshot::default()
        },
        totals: Totals::default(),
        ledger,
        spans,
    }
}

fn judged(observed: &Observed) -> Verdict {
    let expected = Expected {
        accepted: 2,
        processed: 2,
        retried: 1,
        dead_lettered: 0,
    };
    judge(
        &expected,
        observed,
        &journey::follow(&observed.accepted, &observed.spans, &observed.dead_letters),
    )
}

fn without(id: &str) -> Vec<Span> {
    let all = spans();
    let rest = all
        .iter()
        .filter(|span| span.span_id != id)
        .cloned()
        .collect::<Vec<_>>();
    assert_eq!(rest.len() + 1, all.len(), "no span {id}");
    rest
}

fn wrong(verdict: &Verdict) -> Vec<&'static str> {
    verdict
        .rows
        .iter()
        .filter(|row| !row.holds())
        .map(|row| row.name)
        .collect()
}

#[test]
fn nothing_is_wrong_with_whole_traces() {
    let verdict = verdict(spans());
    assert!(verdict.holds(), "{verdict:?}");
}

#[test]
fn a_lost_span_is_missed() {
    let verdict = verdict(without("a-process-1-store"));
    assert_eq!(wrong(&verdict), ["spans received", "spans lost"]);
    assert_eq!(
        verdict.problems,
        ["a: it was handled without a CLIENT span of the store"]
    );
}

#[test]
fn a_span_that_was_never_finished_is_missed_too() {
    let spans = without("a-process-1-store");
    let finished = spans.len();
    assert_eq!(
        wrong(&judged(&observed(spans, finished))),
        ["spans finished", "spans received"]
    );
}

#[test]
fn a_delivery_that_came_twice_is_counted() {
    let mut spans = spans();
    spans.extend(delivered("a", "m-a", "y", 2, None));
    let finished = spans.len();
    let mut observed = observed(spans, finished);
    observed.fed.received = 4;
    let verdict = judged(&observed);
    assert_eq!(
        wrong(&verdict),
        ["retried", "spans finished", "spans received"]
    );
    assert_eq!(
        verdict.problems,
        [
            "a: delivery 2 is linked with 0 batch spans instead of 1",
            "the batch spans have 3 links for 4 deliveries"
        ]
    );
}

#[test]
fn a_delivery_without_a_span_is_missed() {
    let mut spans = without("b-process-1");
    spans.retain(|span| span.span_id != "b-process-2" && span.span_id != "b-process-2-store");
    let verdict = verdict(spans);
    assert_eq!(wrong(&verdict), ["spans received", "spans lost"]);
    assert_eq!(
        verdict.problems,
        [
            r#"b: its trace ends with "send onboarding""#,
            "b: no span says that it was handled, and it is no dead letter",
            "1 deliveries have a span, of 3",
        ]
    );
}

#[test]
fn a_missing_send_leaves_orphans() {
    let problems = verdict(without("a-send")).problems;
    assert_eq!(
        problems,
        [
            "a: its trace is in 2 pieces instead of 1",
            r#""process onboarding" in trace a has a parent that never arrived"#
        ]
    );
}

#[test]
fn a_batch_must_link_each_delivery_once() {
    let mut spans = without("x-batch");
    spans.push(batch("x", &[("a", "m-a")]));
    let problems = verdict(spans).problems;
    assert_eq!(
        problems,
        [
            "b: delivery 1 is linked with 0 batch spans instead of 1",
            "the batch spans have 2 links for 3 deliveries"
        ]
    );
}

#[test]
fn a_span_of_nobody_is_named() {
    let mut spans = spans();
    spans.push(span("z", "1", None, Kind::Server, "GET /readyz"));
    assert_eq!(
        verdict(spans).problems,
        [r#""GET /readyz" in trace z belongs to no message"#]
    );
}

#[test]
fn a_message_must_be_handled_or_dead_lettered() {
    let mut observed = observed(spans(), spans().len());
    observed.dead_letters = ["m-a", "m-z"].map(str::to_owned).to_vec();
    let verdict = judged(&observed);
    assert_eq!(wrong(&verdict), ["dead-lettered"]);
    let expected = [
        "a: a span says that it was handled, and it is a dead letter",
        "the dead-letter queue has a message m-z that was never accepted",
    ];
    assert_eq!(verdict.problems, expected);

    let mut lost = without("b-process-2");
    lost.retain(|span| span.span_id != "b-process-2-store");
    assert!(
        self::verdict(lost)
            .problems
            .contains(&"b: no span says that it was handled, and it is no dead letter".to_owned())
    );
}
