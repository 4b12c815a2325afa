//! What a function does when its time runs out: against the real clock.

use std::time::Duration;

use baton_test_support::{Answer, AttributeValue, Function, Record, Span, TestCollector, event};
use serde_json::json;

use crate::support::functions::{OBEDIENT, start, start_with};

/// Long enough for the marks to differ: nothing new starts after 2 s of it, handlers are cancelled
/// after 2.4 s.
const LIMIT: Duration = Duration::from_secs(4);
/// What a busy machine may add to a moment.
const SLACK: Duration = Duration::from_millis(700);

fn failed(numbers: &[u64]) -> serde_json::Value {
    let failures: Vec<_> = numbers
        .iter()
        .map(|number| json!({"itemIdentifier": Record::new(*number).message_id}))
        .collect();
    json!({"batchItemFailures": failures})
}

fn error_type(spans: &[Span], number: u64) -> Option<AttributeValue> {
    let span = spans
        .iter()
        .find(|span| span.trace_id == Record::trace_id(number));
    let span = span.expect("every record has a span");
    span.attributes.get("error.type").cloned()
}

fn marks(function: Function) -> Function {
    function
        .variable("BATON_DRAIN_BEFORE_DEADLINE", "2000")
        .variable("BATON_CANCEL_BEFORE_DEADLINE", "1600")
}

#[tokio::test]
async fn what_finished_is_done_and_what_did_not_is_returned_in_time_with_its_spans() {
    let collector = TestCollector::start(Answer::Ok).await.unwrap();
    let lambda = start_with(OBEDIENT, &collector, |function| {
        marks(function).variable("BATON_CONCURRENCY", "2")
    })
    .await;
    let records = [
        Record::new(0).traced(0),
        // Runs until it is cancelled.
        Record::new(1).traced(1).body(json!({"sleep_ms": 60_000})),
        // Starts before the first mark and ends after it, before the second.
        Record::new(2).traced(2).body(json!({"sleep_ms": 2_200})),
        // Its turn would come after the first mark.
        Record::new(3).traced(3),
    ];
    let invocation = lambda.invoke(event(&records), LIMIT).await.unwrap();
    assert_eq!(invocation.response, Ok(failed(&[1, 3])));
    let responded = invocation.response_time();
    assert!(
        responded < LIMIT - Duration::from_millis(1600) + SLACK,
        "{responded:?}"
    );
    assert!(
        responded >= LIMIT - Duration::from_millis(1600),
        "{responded:?}"
    );

    let spans = collector.spans().unwrap();
    assert_eq!(spans.len(), records.len() + 1);
    assert!(
        spans
            .iter()
            .all(|span| span.arrived_at < invocation.responded_at)
    );
    assert_eq!(error_type(&spans, 0), None);
    assert_eq!(error_type(&spans, 1), Some("deadline_exceeded".into()));
    assert_eq!(error_type(&spans, 2), None);
    assert_eq!(error_type(&spans, 3), Some("deadline_exceeded".into()));
    // At the first mark what has finished goes out, whatever still runs.
    let first = spans
        .iter()
        .find(|span| span.trace_id == Record::trace_id(0));
    let early = invocation.delivered_at + LIMIT - Duration::from_millis(1600);
    assert!(first.unwrap().arrived_at < early);
    let log = lambda.stdout().join("\n");
    assert!(log.contains("the deadline is near"), "{log}");
}

#[tokio::test]
async fn a_collector_that_hangs_does_not_take_an_invocation_past_its_deadline() {
    let collector = TestCollector::start(Answer::Hang).await.unwrap();
    let lambda = start(OBEDIENT, &collector).await;
    let records = [
        Record::new(0),
        Record::new(1).body(json!({"sleep_ms": 60_000})),
    ];
    // A timeout that is shorter than the flush's budget.
    for _ in 0..2 {
        let limit = Duration::from_secs(1);
        let invocation = lambda.invoke(event(&records), limit).await.unwrap();
        assert_eq!(invocation.response, Ok(failed(&[1])));
    }
}

#[tokio::test]
async fn the_time_that_a_function_has_by_default_is_used() {
    let collector = TestCollector::start(Answer::Ok).await.unwrap();
    let lambda = start(OBEDIENT, &collector).await;
    // Lambda's default timeout: three seconds, of which the marks leave half for starting and more
    // for finishing.
    let limit = Duration::from_secs(3);
    let records = [
        Record::new(0).body(json!({"sleep_ms": 1_500})),
        Record::new(1),
    ];
    let invocation = lambda.invoke(event(&records), limit).await.unwrap();
    assert_eq!(invocation.response, Ok(failed(&[])));
}

#[tokio::test]
async fn in_a_batch_that_takes_long_spans_are_exported_on_the_way() {
    let collector = TestCollector::start(Answer::Ok).await.unwrap();
    let lambda = start_with(OBEDIENT, &collector, |function| {
        function.variable("OTEL_BSP_SCHEDULE_DELAY", "300")
    })
    .await;
    let records = [
        Record::new(0).traced(0),
        Record::new(1).traced(1).body(json!({"sleep_ms": 2_000})),
    ];
    let invocation = lambda
        .invoke(event(&records), Duration::from_secs(30))
        .await
        .unwrap();
    let spans = collector.spans().unwrap();
    let first = spans
        .iter()
        .find(|span| span.trace_id == Record::trace_id(0));
    let arrived = first.unwrap().arrived_at;
    assert!(arrived + Duration::from_secs(1) < invocation.responded_at);
    assert_eq!(spans.len(), 3);
}

#[tokio::test]
async fn a_handler_that_blocks_the_thread_is_noticed_when_it_returns() {
    let collector = TestCollector::start(Answer::Ok).await.unwrap();
    let lambda = start_with(OBEDIENT, &collector, |function| {
        marks(function).variable("BATON_CONCURRENCY", "1")
    })
    .await;
    let records = [
        Record::new(0).body(json!({"block_ms": 2_200})),
        Record::new(1),
    ];
    let invocation = lambda.invoke(event(&records), LIMIT).await.unwrap();
    // The first is done, late as it is; the second is not begun.
    assert_eq!(invocation.response, Ok(failed(&[1])));
}
