//! When an invocation's spans are sent: before its response, or after it.

use std::num::NonZeroUsize;
use std::time::Duration;

use baton_test_support::{
    Answer, Behaviour, Bytes, FakeLambda, Invocation, Record, Signal, TestCollector, event,
};
use serde_json::json;

use crate::support::eventually;
use crate::support::functions::{OBEDIENT, TIMEOUT, start, start_with};

/// So long that it is seen on which side of the response it falls.
const COLLECTORS_TIME: Duration = Duration::from_millis(200);

#[tokio::test]
async fn before_the_response_the_collector_is_waited_for() {
    let collector = TestCollector::start(Answer::Delay(COLLECTORS_TIME))
        .await
        .unwrap();
    let lambda = start(OBEDIENT, &collector).await;
    let invocation = lambda
        .invoke(event(&[Record::new(0)]), TIMEOUT)
        .await
        .unwrap();
    assert!(invocation.response_time() >= COLLECTORS_TIME);
}

#[tokio::test]
async fn after_the_response_the_next_invocation_waits_and_no_span_is_late() {
    let collector = TestCollector::start(Answer::Delay(COLLECTORS_TIME))
        .await
        .unwrap();
    let lambda = start_with(OBEDIENT, &collector, |function| {
        function
            .variable("BATON_FLUSH_POINT", "after-response")
            .freeze()
    })
    .await;
    for number in 0..3 {
        collector.clear();
        let records = [Record::new(number).traced(number)];
        let invocation = lambda.invoke(event(&records), TIMEOUT).await.unwrap();
        assert!(invocation.response_time() < COLLECTORS_TIME);
        assert!(invocation.billed_time() >= COLLECTORS_TIME);
        let spans = collector.spans().unwrap();
        assert_eq!(spans.len(), 2);
        assert!(
            spans
                .iter()
                .all(|span| span.arrived_at < invocation.ready_again_at)
        );
    }
}

/// A function whose first export is never answered, and that one's spans wait for two and a half
/// seconds. What is not answered for stays in the buffer.
async fn unlucky(flush_point: &str) -> (TestCollector, FakeLambda) {
    let behaviour = Behaviour::script(&[Answer::Hang]);
    let collector = TestCollector::start(behaviour).await.unwrap();
    let lambda = start_with(OBEDIENT, &collector, |function| {
        function
            .max_concurrency(NonZeroUsize::new(4).unwrap())
            .variable("BATON_FLUSH_POINT", flush_point)
            .variable("BATON_FLUSH_TIMEOUT", "2500")
            .variable("BATON_SPILL", "none")
    })
    .await;
    (collector, lambda)
}

async fn invoke(lambda: &FakeLambda, number: u64) -> Invocation {
    let records = [Record::new(number).traced(number)];
    lambda.invoke(event(&records), TIMEOUT).await.unwrap()
}

/// Three invocations beside one whose request hangs; the slowest of them.
async fn others(lambda: &FakeLambda, collector: &TestCollector) -> Duration {
    eventually("the first request", async || {
        collector.exports(Signal::Traces).first().map(drop)
    })
    .await;
    let mut slowest = Duration::ZERO;
    for number in 1..4 {
        slowest = slowest.max(invoke(lambda, number).await.response_time());
    }
    slowest
}

fn accepted(collector: &TestCollector, number: u64) -> usize {
    let trace_id = Record::trace_id(number);
    let spans = collector.spans().unwrap();
    spans
        .iter()
        .filter(|span| span.trace_id == trace_id)
        .count()
}

#[tokio::test]
async fn side_by_side_one_invocation_does_not_wait_for_the_spans_of_another() {
    let (collector, lambda) = unlucky("before-response").await;
    let (unlucky, slowest) = tokio::join!(invoke(&lambda, 0), others(&lambda, &collector));
    assert!(unlucky.response_time() >= Duration::from_millis(2400));
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    // The spans that were not answered for go behind the next flush of anyone.
    invoke(&lambda, 4).await;
    eventually("the spans of the first", async || {
        (accepted(&collector, 0) > 0).then_some(())
    })
    .await;
    for number in 0..5 {
        assert_eq!(accepted(&collector, number), 1, "record {number}");
    }
}

#[tokio::test]
async fn side_by_side_nothing_is_lost_when_spans_are_sent_after_the_response() {
    let (collector, lambda) = unlucky("after-response").await;
    let (unlucky, slowest) = tokio::join!(invoke(&lambda, 0), others(&lambda, &collector));
    assert!(unlucky.response_time().max(slowest) < Duration::from_secs(1));
    // Another invocation takes the unanswered spans along, once their flush has given them up.
    let mut number = 4;
    eventually("the spans of the first", async || {
        invoke(&lambda, number).await;
        number += 1;
        (accepted(&collector, 0) > 0).then_some(())
    })
    .await;
    for number in 0..4 {
        assert_eq!(accepted(&collector, number), 1, "record {number}");
    }
}

#[tokio::test]
async fn side_by_side_batch_spans_are_roots_and_records_keep_to_their_own() {
    let collector = TestCollector::start(Answer::Ok).await.unwrap();
    let lambda = start_with(OBEDIENT, &collector, |function| {
        function.max_concurrency(NonZeroUsize::new(8).unwrap())
    })
    .await;
    let invocations = (0..32).map(|number| {
        let body = json!({"sleep_ms": number % 7, "child": "inner"});
        let records = [Record::new(number).traced(number).body(body)];
        lambda.invoke(event(&records), TIMEOUT)
    });
    for invocation in futures_util::future::join_all(invocations).await {
        assert_eq!(
            invocation.unwrap().response,
            Ok(json!({"batchItemFailures": []}))
        );
    }
    let spans = collector.spans().unwrap();
    assert_eq!(spans.len(), 3 * 32);
    let batches = spans
        .iter()
        .filter(|span| span.name.starts_with("process_batch"));
    assert!(batches.clone().all(|span| span.parent_span_id.is_none()));
    assert_eq!(batches.count(), 32);
    for number in 0..32 {
        let trace_id = Record::trace_id(number);
        let of_trace: Vec<_> = spans
            .iter()
            .filter(|span| span.trace_id == trace_id)
            .collect();
        let record = of_trace
            .iter()
            .find(|span| span.name.starts_with("process "));
        let inner = of_trace.iter().find(|span| span.name == "inner");
        let record = record.expect("the record's span");
        assert_eq!(
            inner.expect("its child").parent_span_id.as_ref(),
            Some(&record.span_id)
        );
    }
}

/// Exports on the way are due after each of these.
const SCHEDULE: &str = "300";
/// Long enough to be told from what a busy machine adds.
const BUDGET: Duration = Duration::from_secs(3);

/// Two messages, of which the second has an export begin before it is handled.
fn slow_batch() -> Bytes {
    let slow = Record::new(12).traced(12).body(json!({"sleep_ms": 600}));
    event(&[Record::new(11).traced(11), slow])
}

#[tokio::test]
async fn a_collector_that_hangs_from_an_export_on_the_way_costs_one_budget() {
    for flush_point in ["before-response", "after-response"] {
        let collector = TestCollector::start(Answer::Hang).await.unwrap();
        let lambda = start_with(OBEDIENT, &collector, |function| {
            function
                .variable("BATON_FLUSH_POINT", flush_point)
                .variable("BATON_FLUSH_TIMEOUT", &BUDGET.as_millis().to_string())
                .variable("OTEL_BSP_SCHEDULE_DELAY", SCHEDULE)
        })
        .await;
        let invocation = lambda.invoke(slow_batch(), TIMEOUT).await.unwrap();
        let ready_again = invocation.billed_time();
        assert!(ready_again >= BUDGET, "{flush_point}: {ready_again:?}");
        assert!(
            ready_again < BUDGET + BUDGET / 2,
            "{flush_point}: {ready_again:?}"
        );
        let responded = invocation.response_time();
        let is_before = flush_point == "before-response";
        assert_eq!(responded >= BUDGET, is_before, "{responded:?}");
    }
}

#[tokio::test]
async fn side_by_side_an_export_on_the_way_does_not_wait_for_others_either() {
    let collector = TestCollector::start(Behaviour::script(&[Answer::Hang]))
        .await
        .unwrap();
    let lambda = start_with(OBEDIENT, &collector, |function| {
        function
            .max_concurrency(NonZeroUsize::new(4).unwrap())
            .variable("BATON_FLUSH_TIMEOUT", &BUDGET.as_millis().to_string())
            .variable("OTEL_BSP_SCHEDULE_DELAY", SCHEDULE)
    })
    .await;
    let other = async {
        eventually("the first request", async || {
            collector.exports(Signal::Traces).first().map(drop)
        })
        .await;
        lambda.invoke(slow_batch(), TIMEOUT).await.unwrap()
    };
    let (unlucky, other) = tokio::join!(invoke(&lambda, 0), other);
    assert!(unlucky.response_time() >= BUDGET);
    let responded = other.response_time();
    assert!(responded < BUDGET / 2, "{responded:?}");
    assert_eq!((accepted(&collector, 11), accepted(&collector, 12)), (1, 1));
}

/// The lines that tell what the flushes of an invocation did.
fn flushes(lambda: &FakeLambda, invocation: &Invocation) -> Vec<serde_json::Value> {
    let lines = lambda.stdout();
    let lines = lines.iter().map(|line| serde_json::from_str(line).unwrap());
    let is_flush = |line: &serde_json::Value| {
        line["message"] == "invocation's spans flushed"
            && line["faas.invocation_id"] == *invocation.request_id
    };
    lines.filter(is_flush).collect()
}

#[tokio::test]
async fn at_debug_level_the_log_says_what_the_flushes_of_each_invocation_did() {
    let collector = TestCollector::start(Answer::Delay(COLLECTORS_TIME))
        .await
        .unwrap();
    let lambda = start_with(OBEDIENT, &collector, |function| {
        function
            .max_concurrency(NonZeroUsize::new(2).unwrap())
            .variable("RUST_LOG", "baton_lambda=debug")
            .variable("OTEL_BSP_SCHEDULE_DELAY", SCHEDULE)
    })
    .await;
    let slow = async { lambda.invoke(slow_batch(), TIMEOUT).await.unwrap() };
    let (quick, slow) = tokio::join!(invoke(&lambda, 0), slow);
    let quick = eventually("its flush", async || flushes(&lambda, &quick).pop()).await;
    assert_eq!(
        (&quick["spans"], &quick["requests"]),
        (&2.into(), &1.into())
    );
    assert_eq!(quick["level"], "DEBUG");
    assert!(quick["duration_ms"].as_f64().unwrap() >= COLLECTORS_TIME.as_secs_f64() * 1000.0);
    // One or more on the way, and the last one before the response.
    let bytes = eventually("its flushes", async || {
        let flushes = flushes(&lambda, &slow);
        let of_all = |field: &str| {
            flushes
                .iter()
                .map(|line| line[field].as_u64().unwrap())
                .sum::<u64>()
        };
        (flushes.len() >= 2 && of_all("spans") == 3).then(|| of_all("bytes"))
    })
    .await;
    let exports = collector.exports(Signal::Traces);
    let received: usize = exports.iter().map(|export| export.body.len()).sum();
    assert_eq!(quick["bytes"].as_u64().unwrap() + bytes, received as u64);
}
