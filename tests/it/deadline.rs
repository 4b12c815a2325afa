//! The deadline of an invocation, against the real clock.

use std::time::Duration;

use baton_test_support::{
    AttributeValue, CollectorResponse, Function, Record, Span, TestCollector, event,
};
use serde_json::json;

use crate::support::functions::{SCRIPTED, start, start_with};

/// Timeout that leaves time between the two deadlines: no message starts after 2 s, and handlers
/// are cancelled after 2.4 s.
const LIMIT: Duration = Duration::from_secs(4);
/// Delay that a busy machine may add.
const SLACK: Duration = Duration::from_millis(700);

fn failures(numbers: &[u64]) -> serde_json::Value {
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

fn with_early_deadlines(function: Function) -> Function {
    function
        .variable("BATON_DRAIN_BEFORE_DEADLINE", "2000")
        .variable("BATON_CANCEL_BEFORE_DEADLINE", "1600")
}

#[tokio::test]
async fn at_the_deadline_unfinished_messages_are_returned_in_time_with_their_spans() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let lambda = start_with(SCRIPTED, &collector, |function| {
        with_early_deadlines(function).variable("BATON_CONCURRENCY", "2")
    })
    .await;
    let records = [
        Record::new(0).traced(0),
        // Cancelled.
        Record::new(1).traced(1).body(json!({"sleep_ms": 60_000})),
        // Starts before the drain deadline and ends before handlers are cancelled.
        Record::new(2).traced(2).body(json!({"sleep_ms": 2_200})),
        // Would start after the drain deadline.
        Record::new(3).traced(3),
    ];
    let invocation = lambda.invoke(event(&records), LIMIT).await.unwrap();
    assert_eq!(invocation.response, Ok(failures(&[1, 3])));
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
    // At the drain deadline finished spans are exported while other handlers still run.
    let first = spans
        .iter()
        .find(|span| span.trace_id == Record::trace_id(0));
    let early = invocation.delivered_at + LIMIT - Duration::from_millis(1600);
    assert!(first.unwrap().arrived_at < early);
    let log = lambda.stdout().join("\n");
    assert!(log.contains("the deadline is near"), "{log}");
}

#[tokio::test]
async fn a_hanging_collector_does_not_delay_an_invocation_beyond_its_deadline() {
    let collector = TestCollector::start(CollectorResponse::Hang).await.unwrap();
    let lambda = start(SCRIPTED, &collector).await;
    let records = [
        Record::new(0),
        Record::new(1).body(json!({"sleep_ms": 60_000})),
    ];
    // The timeout is shorter than the flush budget.
    for _ in 0..2 {
        let limit = Duration::from_secs(1);
        let invocation = lambda.invoke(event(&records), limit).await.unwrap();
        assert_eq!(invocation.response, Ok(failures(&[1])));
    }
}

#[tokio::test]
async fn the_default_timeout_of_lambda_is_enough_for_half_of_it_in_a_handler() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let lambda = start(SCRIPTED, &collector).await;
    // Lambda's default timeout is three seconds. By default messages may start in the first half of
    // it and take longer than that to finish.
    let limit = Duration::from_secs(3);
    let records = [
        Record::new(0).body(json!({"sleep_ms": 1_500})),
        Record::new(1),
    ];
    let invocation = lambda.invoke(event(&records), limit).await.unwrap();
    assert_eq!(invocation.response, Ok(failures(&[])));
}

#[tokio::test]
async fn spans_of_a_slow_batch_are_exported_while_it_runs() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let lambda = start_with(SCRIPTED, &collector, |function| {
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
async fn after_a_handler_that_blocks_the_thread_no_message_starts_too_late() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let lambda = start_with(SCRIPTED, &collector, |function| {
        with_early_deadlines(function).variable("BATON_CONCURRENCY", "1")
    })
    .await;
    let records = [
        Record::new(0).body(json!({"block_ms": 2_200})),
        Record::new(1),
    ];
    let invocation = lambda.invoke(event(&records), LIMIT).await.unwrap();
    // The first message succeeds although it is late; the second does not start.
    assert_eq!(invocation.response, Ok(failures(&[1])));
}
