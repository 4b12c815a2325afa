//! Collectors that fail: the delays that they cause, and that no span is lost. Every span is
//! exported by the function or by `baton replay`.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::time::Duration;

use baton_test_support::{
    Behaviour, Bytes, CollectorResponse, FakeLambda, Function, Invocation, ProcessExit, Record,
    Signal, TestCollector, event,
};
use futures_util::future::join_all;
use serde_json::json;

use crate::support::eventually;
use crate::support::functions::{SCRIPTED, TIMEOUT, start_with};
use crate::support::spill::{
    SavedLog, SpanKey, fragment_count, last_span_counts, span_keys, spilled_spans,
    unexported_span_counts,
};

/// Messages in most batches.
const BATCH: u64 = 10;
/// Default time limit of a flush.
const BUDGET: Duration = Duration::from_secs(1);
/// Invocations that wait for the collector take longer than this. On a busy machine others rarely
/// do.
const WAIT: Duration = Duration::from_millis(400);
/// Delay that a busy machine adds to a wait.
const SLACK: Duration = Duration::from_millis(500);

/// A running function, and the numbers of its invocations and records.
struct Run {
    lambda: FakeLambda,
    invocations: u64,
    records: u64,
}

impl Run {
    async fn start(collector: &TestCollector) -> Self {
        Self::start_with(collector, |function| function).await
    }

    async fn start_with(
        collector: &TestCollector,
        change: impl FnOnce(Function) -> Function,
    ) -> Self {
        let lambda = start_with(SCRIPTED, collector, |function| {
            change(function.variable("RUST_LOG", "info,baton_telemetry=debug"))
        });
        Self {
            lambda: lambda.await,
            invocations: 0,
            records: 0,
        }
    }

    /// Invokes the function. The invocation succeeds regardless of the collector.
    async fn invoke(&mut self, batch: u64) -> Invocation {
        let payload = self.payload(batch);
        invoke(&self.lambda, payload).await
    }

    /// Invokes the function this many times concurrently.
    async fn invoke_concurrently(&mut self, count: usize) -> Vec<Invocation> {
        let payloads: Vec<Bytes> = (0..count).map(|_| self.payload(BATCH)).collect();
        let invocations = payloads
            .into_iter()
            .map(|payload| invoke(&self.lambda, payload));
        join_all(invocations).await
    }

    /// Returns the event of the next invocation.
    fn payload(&mut self, batch: u64) -> Bytes {
        let numbers = self.records..self.records + batch;
        let records: Vec<Record> = numbers
            .map(|number| Record::new(number).traced(number))
            .collect();
        self.invocations += 1;
        self.records += batch;
        event(&records)
    }

    /// Invokes the function this many times in sequence.
    async fn invoke_repeatedly(&mut self, count: usize) -> Vec<Invocation> {
        let mut invocations = Vec::new();
        for _ in 0..count {
            invocations.push(self.invoke(BATCH).await);
        }
        invocations
    }

    /// Returns the number of spans that the function has made.
    fn span_count(&self) -> usize {
        usize::try_from(self.records + self.invocations).unwrap()
    }

    /// Terminates the function, and checks the span counts in its log.
    async fn end(self) -> ProcessExit {
        let spans = self.span_count() as u64;
        let ended = self.lambda.terminate(TIMEOUT).await;
        let last = last_span_counts(&ended.stdout).expect("a flush in the log");
        assert_eq!((last.finished, last.pending), (spans, 0), "{last:?}");
        assert_eq!(last.spilled, spilled_spans(&ended.stdout).len() as u64);
        let unexported: u64 = unexported_span_counts(&ended.stdout).iter().sum();
        assert_eq!(unexported, last.spilled + last.dropped);
        ended
    }
}

async fn invoke(lambda: &FakeLambda, payload: Bytes) -> Invocation {
    let invocation = lambda.invoke(payload, TIMEOUT).await.unwrap();
    assert_eq!(invocation.response, Ok(json!({"batchItemFailures": []})));
    invocation
}

fn distinct_count(span_keys: &[SpanKey]) -> usize {
    span_keys.iter().collect::<BTreeSet<_>>().len()
}

/// Replays the function's log twice, and checks that the collector then has each span exactly once.
async fn assert_replayed_once(ended: &ProcessExit, collector: &TestCollector, spans: usize) {
    let log = SavedLog::new(&ended.stdout);
    let output = log.replay(collector).await;
    let arrived = span_keys(&collector.spans().unwrap());
    assert_eq!(
        (arrived.len(), distinct_count(&arrived)),
        (spans, spans),
        "{output}"
    );
    let requests = collector.exports(Signal::Traces).len();
    let output = log.replay(collector).await;
    assert_eq!(
        collector.exports(Signal::Traces).len(),
        requests,
        "the second time: {output}"
    );
}

#[tokio::test]
async fn an_absent_collector_delays_no_response_and_loses_no_span() {
    let collector = TestCollector::bind(CollectorResponse::Ok).unwrap();
    let mut run = Run::start(&collector).await;
    for invocation in run.invoke_repeatedly(20).await {
        assert!(invocation.billed_time() < WAIT, "{invocation:?}");
    }
    let spans = run.span_count();
    let ended = run.end().await;
    let left = spilled_spans(&ended.stdout);
    assert_eq!((left.len(), distinct_count(&left)), (spans, spans));

    collector.listen().await.unwrap();
    assert_replayed_once(&ended, &collector, spans).await;
    let arrived = collector.spans().unwrap();
    assert_eq!(span_keys(&arrived), left);
    for number in 0..20 * BATCH {
        let (trace_id, parent) = (Record::trace_id(number), Record::span_id(number));
        let span = arrived.iter().find(|span| span.trace_id == trace_id);
        assert_eq!(span.unwrap().parent_span_id.as_deref(), Some(&*parent));
    }
}

#[tokio::test]
async fn a_span_too_long_for_one_log_line_is_replayed_whole() {
    let collector = TestCollector::bind(CollectorResponse::Ok).unwrap();
    let mut run = Run::start(&collector).await;
    run.invoke(4000).await;
    let spans = run.span_count();
    let ended = run.end().await;
    assert!(fragment_count(&ended.stdout) > 1);
    collector.listen().await.unwrap();
    assert_replayed_once(&ended, &collector, spans).await;
    let arrived = collector.spans().unwrap();
    let batch = arrived.iter().find(|span| span.parent_span_id.is_none());
    assert_eq!(batch.unwrap().links.len(), 4000);
}

#[tokio::test]
async fn at_most_three_flushes_wait_for_a_hanging_collector() {
    let collector = TestCollector::start(CollectorResponse::Hang).await.unwrap();
    let mut run = Run::start(&collector).await;
    let invocations = run.invoke_repeatedly(30).await;
    let times: Vec<Duration> = invocations.iter().map(Invocation::billed_time).collect();
    let waited = times.iter().filter(|time| **time >= WAIT).count();
    assert!((1..=3).contains(&waited), "{times:?}");
    assert!(times.iter().all(|time| *time < BUDGET + SLACK), "{times:?}");
    assert!(times[10..].iter().all(|time| *time < WAIT), "{times:?}");

    let spans = run.span_count();
    let ended = run.end().await;
    assert_eq!(collector.spans().unwrap(), []);
    collector.set_behaviour(CollectorResponse::Ok);
    assert_replayed_once(&ended, &collector, spans).await;
}

#[tokio::test]
async fn a_hanging_traces_endpoint_does_not_affect_metrics() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    collector.set_behaviour_for(Signal::Traces, CollectorResponse::Hang);
    let mut run = Run::start(&collector).await;
    let invocations = run.invoke_repeatedly(20).await;
    let waited = invocations
        .iter()
        .filter(|invocation| invocation.response_time() > WAIT);
    assert!(waited.count() <= 3);
    assert!(collector.exports(Signal::Metrics).len() >= 10);
    let spans = run.span_count();
    let ended = run.end().await;
    assert_eq!(spilled_spans(&ended.stdout).len(), spans);
}

#[tokio::test]
async fn rate_limited_metrics_do_not_affect_spans() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    collector.set_behaviour_for(Signal::Metrics, CollectorResponse::RetryAfter(60));
    let mut run = Run::start(&collector).await;
    run.invoke_repeatedly(20).await;
    let spans = run.span_count();
    run.end().await;
    assert_eq!(collector.spans().unwrap().len(), spans);
}

#[tokio::test]
async fn an_invalid_event_is_counted_before_the_response() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let run = Run::start(&collector).await;
    let event = Bytes::from_static(b"{}");
    let invocation = run.lambda.invoke(event, TIMEOUT).await.unwrap();
    assert!(invocation.response.is_err());
    let metrics = collector.metrics().unwrap();
    assert!(metrics.iter().any(|metric| metric.name == "faas.errors"));
    run.end().await;
}

#[tokio::test]
async fn with_flush_after_response_a_hanging_collector_delays_no_response() {
    let collector = TestCollector::start(CollectorResponse::Hang).await.unwrap();
    let mut run = Run::start_with(&collector, |function| {
        function.variable("BATON_FLUSH_POINT", "after-response")
    })
    .await;
    for invocation in run.invoke_repeatedly(10).await {
        assert!(invocation.response_time() < WAIT, "{invocation:?}");
        assert!(invocation.billed_time() < BUDGET + SLACK);
    }
    let spans = run.span_count();
    let ended = run.end().await;
    collector.set_behaviour(CollectorResponse::Ok);
    assert_replayed_once(&ended, &collector, spans).await;
}

#[tokio::test]
async fn concurrent_invocations_each_spill_their_own_spans_once() {
    let collector = TestCollector::start(CollectorResponse::Hang).await.unwrap();
    let mut run = Run::start_with(&collector, |function| {
        function.max_concurrency(NonZeroUsize::new(8).unwrap())
    })
    .await;
    // The first invocations run concurrently and all wait until the circuit breaker opens.
    for _ in 0..4 {
        for invocation in run.invoke_concurrently(8).await {
            assert!(invocation.billed_time() < BUDGET + SLACK);
        }
    }
    for invocation in run.invoke_concurrently(8).await {
        assert!(invocation.billed_time() < WAIT, "{invocation:?}");
    }
    let spans = run.span_count();
    let ended = run.end().await;
    collector.set_behaviour(CollectorResponse::Ok);
    assert_replayed_once(&ended, &collector, spans).await;
}

#[tokio::test]
async fn retry_after_is_honoured_and_exports_resume() {
    let collector = TestCollector::start(CollectorResponse::RetryAfter(1))
        .await
        .unwrap();
    let mut run = Run::start(&collector).await;
    run.invoke_repeatedly(20).await;
    // One request until `Retry-After` has passed.
    assert_eq!(collector.exports(Signal::Traces).len(), 1);
    collector.set_behaviour(CollectorResponse::Ok);
    eventually("an export", async || {
        run.invoke(BATCH).await;
        (!collector.spans().unwrap().is_empty()).then_some(())
    })
    .await;
    let lines = unexported_span_counts(&run.lambda.stdout()).len();
    for invocation in run.invoke_repeatedly(10).await {
        let exports = collector.exports(Signal::Traces);
        let arrived = exports.iter().map(|export| export.arrived_at);
        assert!(arrived.max().unwrap() > invocation.delivered_at);
    }

    let spans = run.span_count();
    let ended = run.end().await;
    // While everything is exported there are no further lines for the alarm.
    assert_eq!(unexported_span_counts(&ended.stdout).len(), lines);
    assert_replayed_once(&ended, &collector, spans).await;
}

#[tokio::test]
async fn a_collector_that_fails_every_third_request_delays_and_loses_nothing() {
    let flaky = Behaviour::every(3, CollectorResponse::Status(503));
    let collector = TestCollector::start(flaky).await.unwrap();
    let mut run = Run::start(&collector).await;
    for invocation in run.invoke_repeatedly(60).await {
        assert!(invocation.billed_time() < WAIT, "{invocation:?}");
    }
    let responses = collector.exports(Signal::Traces);
    let failed = responses
        .iter()
        .filter(|export| !export.response.is_success());
    assert!(failed.count() >= 20);
    let spans = run.span_count();
    let ended = run.end().await;
    assert_eq!(spilled_spans(&ended.stdout), []);
    let arrived = span_keys(&collector.spans().unwrap());
    assert_eq!((arrived.len(), distinct_count(&arrived)), (spans, spans));
}

#[tokio::test]
async fn no_span_is_lost_when_a_collector_is_killed_and_restarted() {
    let slow = CollectorResponse::Delay(Duration::from_millis(50));
    let collector = TestCollector::start(slow).await.unwrap();
    let mut run = Run::start(&collector).await;
    run.invoke_repeatedly(3).await;
    // The collector is killed after it has read a request and before it responds.
    let before = collector.exports(Signal::Traces).len();
    let kill = async {
        eventually("the next request", async || {
            (collector.exports(Signal::Traces).len() > before).then_some(())
        })
        .await;
        collector.stop_listening().await;
    };
    tokio::join!(run.invoke(BATCH), kill);
    let unanswered = collector.exports(Signal::Traces).len();
    run.invoke_repeatedly(10).await;
    collector.listen().await.unwrap();
    eventually("an export", async || {
        run.invoke(BATCH).await;
        (collector.exports(Signal::Traces).len() > unanswered).then_some(())
    })
    .await;
    run.invoke_repeatedly(3).await;

    let spans = run.span_count();
    let ended = run.end().await;
    assert!(!spilled_spans(&ended.stdout).is_empty());
    SavedLog::new(&ended.stdout).replay(&collector).await;
    let arrived = span_keys(&collector.spans().unwrap());
    assert_eq!(distinct_count(&arrived), spans);
    // The request that it had read was sent again, because it was not acknowledged.
    let duplicates = arrived.len() - distinct_count(&arrived);
    assert!(
        duplicates <= usize::try_from(BATCH + 1).unwrap(),
        "{duplicates}"
    );
}

#[tokio::test]
async fn embedded_metrics_count_spans_that_were_not_exported_immediately() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let mut run = Run::start(&collector).await;
    run.invoke_repeatedly(5).await;
    collector.stop_listening().await;
    for count in 1..=5 {
        run.invoke(BATCH).await;
        let counts = eventually("a line for each of the invocations", async || {
            let counts = unexported_span_counts(&run.lambda.stdout());
            (counts.len() >= count).then_some(counts)
        })
        .await;
        assert_eq!(counts, vec![BATCH + 1; count]);
    }
    run.end().await;
}
