//! The flush point: an invocation's spans are exported before its response or after it.

use std::num::NonZeroUsize;
use std::time::Duration;

use baton_test_support::{
    Behaviour, Bytes, CollectorResponse, FakeLambda, Invocation, Record, Signal, TestCollector,
    event,
};
use serde_json::json;

use crate::support::eventually;
use crate::support::functions::{SCRIPTED, TIMEOUT, start, start_with};

/// Long enough to show whether the flush is before or after the response.
const COLLECTOR_DELAY: Duration = Duration::from_millis(200);

#[tokio::test]
async fn the_response_waits_for_the_collector_by_default() {
    let collector = TestCollector::start(CollectorResponse::Delay(COLLECTOR_DELAY))
        .await
        .unwrap();
    let lambda = start(SCRIPTED, &collector).await;
    let invocation = lambda
        .invoke(event(&[Record::new(0)]), TIMEOUT)
        .await
        .unwrap();
    assert!(invocation.response_time() >= COLLECTOR_DELAY);
}

#[tokio::test]
async fn with_flush_after_response_the_next_invocation_waits_for_the_spans() {
    let collector = TestCollector::start(CollectorResponse::Delay(COLLECTOR_DELAY))
        .await
        .unwrap();
    let lambda = start_with(SCRIPTED, &collector, |function| {
        function
            .variable("BATON_FLUSH_POINT", "after-response")
            .freeze()
    })
    .await;
    for number in 0..3 {
        collector.clear();
        let records = [Record::new(number).traced(number)];
        let invocation = lambda.invoke(event(&records), TIMEOUT).await.unwrap();
        assert!(invocation.response_time() < COLLECTOR_DELAY);
        assert!(invocation.billed_time() >= COLLECTOR_DELAY);
        let spans = collector.spans().unwrap();
        assert_eq!(spans.len(), 2);
        assert!(
            spans
                .iter()
                .all(|span| span.arrived_at < invocation.ready_again_at)
        );
    }
}

/// Starts a function whose first export hangs for the flush budget of two and a half seconds. Its
/// spans stay in the buffer, because spilling is disabled.
async fn start_with_hanging_export(flush_point: &str) -> (TestCollector, FakeLambda) {
    let behaviour = Behaviour::script(&[CollectorResponse::Hang]);
    let collector = TestCollector::start(behaviour).await.unwrap();
    let lambda = start_with(SCRIPTED, &collector, |function| {
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

/// Waits for the first export and invokes the function three times. Returns the longest response
/// time.
async fn slowest_of_three(lambda: &FakeLambda, collector: &TestCollector) -> Duration {
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

fn span_count(collector: &TestCollector, number: u64) -> usize {
    let trace_id = Record::trace_id(number);
    let spans = collector.spans().unwrap();
    spans
        .iter()
        .filter(|span| span.trace_id == trace_id)
        .count()
}

#[tokio::test]
async fn concurrent_invocations_do_not_wait_for_each_others_spans() {
    let (collector, lambda) = start_with_hanging_export("before-response").await;
    let (hanging, slowest) =
        tokio::join!(invoke(&lambda, 0), slowest_of_three(&lambda, &collector));
    assert!(hanging.response_time() >= Duration::from_millis(2400));
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    // The next flush of any invocation exports the unacknowledged spans as well.
    invoke(&lambda, 4).await;
    eventually("the spans of the first", async || {
        (span_count(&collector, 0) > 0).then_some(())
    })
    .await;
    for number in 0..5 {
        assert_eq!(span_count(&collector, number), 1, "record {number}");
    }
}

#[tokio::test]
async fn concurrent_invocations_with_flush_after_response_lose_nothing() {
    let (collector, lambda) = start_with_hanging_export("after-response").await;
    let (hanging, slowest) =
        tokio::join!(invoke(&lambda, 0), slowest_of_three(&lambda, &collector));
    assert!(hanging.response_time().max(slowest) < Duration::from_secs(1));
    // Another invocation exports the unacknowledged spans once their own flush has timed out.
    let mut number = 4;
    eventually("the spans of the first", async || {
        invoke(&lambda, number).await;
        number += 1;
        (span_count(&collector, 0) > 0).then_some(())
    })
    .await;
    for number in 0..4 {
        assert_eq!(span_count(&collector, number), 1, "record {number}");
    }
}

#[tokio::test]
async fn batch_spans_of_concurrent_invocations_are_roots_and_records_keep_their_own() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let lambda = start_with(SCRIPTED, &collector, |function| {
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
        let trace: Vec<_> = spans
            .iter()
            .filter(|span| span.trace_id == trace_id)
            .collect();
        let record = trace.iter().find(|span| span.name.starts_with("process "));
        let inner = trace.iter().find(|span| span.name == "inner");
        let record = record.expect("the record's span");
        assert_eq!(
            inner.expect("its child").parent_span_id.as_ref(),
            Some(&record.span_id)
        );
    }
}

/// Milliseconds between scheduled exports.
const SCHEDULE_DELAY: &str = "300";
/// Flush budget that is longer than any delay of a busy machine.
const BUDGET: Duration = Duration::from_secs(3);

/// Two messages, of which the second takes so long that a scheduled export starts meanwhile.
fn slow_batch() -> Bytes {
    let slow = Record::new(12).traced(12).body(json!({"sleep_ms": 600}));
    event(&[Record::new(11).traced(11), slow])
}

#[tokio::test]
async fn a_collector_that_hangs_during_a_scheduled_export_costs_one_flush_budget() {
    for flush_point in ["before-response", "after-response"] {
        let collector = TestCollector::start(CollectorResponse::Hang).await.unwrap();
        let lambda = start_with(SCRIPTED, &collector, |function| {
            function
                .variable("BATON_FLUSH_POINT", flush_point)
                .variable("BATON_FLUSH_TIMEOUT", &BUDGET.as_millis().to_string())
                .variable("OTEL_BSP_SCHEDULE_DELAY", SCHEDULE_DELAY)
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
        let waits = flush_point == "before-response";
        assert_eq!(responded >= BUDGET, waits, "{responded:?}");
    }
}

#[tokio::test]
async fn scheduled_exports_of_concurrent_invocations_do_not_wait_for_others() {
    let collector = TestCollector::start(Behaviour::script(&[CollectorResponse::Hang]))
        .await
        .unwrap();
    let lambda = start_with(SCRIPTED, &collector, |function| {
        function
            .max_concurrency(NonZeroUsize::new(4).unwrap())
            .variable("BATON_FLUSH_TIMEOUT", &BUDGET.as_millis().to_string())
            .variable("OTEL_BSP_SCHEDULE_DELAY", SCHEDULE_DELAY)
    })
    .await;
    let other = async {
        eventually("the first request", async || {
            collector.exports(Signal::Traces).first().map(drop)
        })
        .await;
        lambda.invoke(slow_batch(), TIMEOUT).await.unwrap()
    };
    let (hanging, other) = tokio::join!(invoke(&lambda, 0), other);
    assert!(hanging.response_time() >= BUDGET);
    let responded = other.response_time();
    assert!(responded < BUDGET / 2, "{responded:?}");
    assert_eq!(
        (span_count(&collector, 11), span_count(&collector, 12)),
        (1, 1)
    );
}

/// Returns the log lines about the flushes of an invocation.
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
async fn the_debug_log_reports_the_flushes_of_each_invocation() {
    let collector = TestCollector::start(CollectorResponse::Delay(COLLECTOR_DELAY))
        .await
        .unwrap();
    let lambda = start_with(SCRIPTED, &collector, |function| {
        function
            .max_concurrency(NonZeroUsize::new(2).unwrap())
            .variable("RUST_LOG", "baton_lambda=debug")
            .variable("OTEL_BSP_SCHEDULE_DELAY", SCHEDULE_DELAY)
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
    assert!(quick["duration_ms"].as_f64().unwrap() >= COLLECTOR_DELAY.as_secs_f64() * 1000.0);
    // At least one scheduled export, and the flush before the response.
    let bytes = eventually("its flushes", async || {
        let flushes = flushes(&lambda, &slow);
        let sum = |field: &str| {
            flushes
                .iter()
                .map(|line| line[field].as_u64().unwrap())
                .sum::<u64>()
        };
        (flushes.len() >= 2 && sum("spans") == 3).then(|| sum("bytes"))
    })
    .await;
    let exports = collector.exports(Signal::Traces);
    let received: usize = exports.iter().map(|export| export.body.len()).sum();
    assert_eq!(quick["bytes"].as_u64().unwrap() + bytes, received as u64);
}
