//! What a collector that is out of order costs a function, and that no span is lost meanwhile: it
//! is exported, or `baton replay` finds it.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::time::Duration;

use baton_test_support::{
    Answer, Behaviour, Bytes, FakeLambda, Function, Invocation, ProcessExit, Record, Signal,
    TestCollector, event,
};
use futures_util::future::join_all;
use serde_json::json;

use crate::support::eventually;
use crate::support::functions::{OBEDIENT, TIMEOUT, start_with};
use crate::support::spill::{
    Id, SavedLog, fragments, ids, last_account, spilled, told_to_cloudwatch,
};

/// Messages in most batches here.
const BATCH: u64 = 10;
/// How long a flush may take by default.
const BUDGET: Duration = Duration::from_secs(1);
/// Whoever waits for the collector waits longer than this; nothing else on a busy machine does, or
/// not often.
const WAIT: Duration = Duration::from_millis(400);
/// What a busy machine adds to a wait.
const SLACK: Duration = Duration::from_millis(500);

/// A function under way, and what it was sent so far.
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
        let lambda = start_with(OBEDIENT, collector, |function| {
            change(function.variable("RUST_LOG", "info,baton_telemetry=debug"))
        });
        Self {
            lambda: lambda.await,
            invocations: 0,
            records: 0,
        }
    }

    /// One more invocation, which succeeds whatever the collector does.
    async fn invoke(&mut self, batch: u64) -> Invocation {
        let payload = self.payload(batch);
        invoke(&self.lambda, payload).await
    }

    /// So many invocations more, all at the same time.
    async fn invoke_at_once(&mut self, count: usize) -> Vec<Invocation> {
        let payloads: Vec<Bytes> = (0..count).map(|_| self.payload(BATCH)).collect();
        let invocations = payloads
            .into_iter()
            .map(|payload| invoke(&self.lambda, payload));
        join_all(invocations).await
    }

    /// The event of one more invocation.
    fn payload(&mut self, batch: u64) -> Bytes {
        let numbers = self.records..self.records + batch;
        let records: Vec<Record> = numbers
            .map(|number| Record::new(number).traced(number))
            .collect();
        self.invocations += 1;
        self.records += batch;
        event(&records)
    }

    async fn invoke_often(&mut self, count: usize) -> Vec<Invocation> {
        let mut invocations = Vec::new();
        for _ in 0..count {
            invocations.push(self.invoke(BATCH).await);
        }
        invocations
    }

    /// How many spans the function has made.
    fn spans(&self) -> usize {
        usize::try_from(self.records + self.invocations).unwrap()
    }

    /// Ends the function, and checks what its log says of its spans.
    async fn end(self) -> ProcessExit {
        let spans = self.spans() as u64;
        let ended = self.lambda.terminate(TIMEOUT).await;
        let last = last_account(&ended.stdout).expect("a flush in the log");
        assert_eq!((last.finished, last.pending), (spans, 0), "{last:?}");
        assert_eq!(last.spilled, spilled(&ended.stdout).len() as u64);
        let told: u64 = told_to_cloudwatch(&ended.stdout).iter().sum();
        assert_eq!(told, last.spilled + last.dropped);
        ended
    }
}

async fn invoke(lambda: &FakeLambda, payload: Bytes) -> Invocation {
    let invocation = lambda.invoke(payload, TIMEOUT).await.unwrap();
    assert_eq!(invocation.response, Ok(json!({"batchItemFailures": []})));
    invocation
}

fn distinct(ids: &[Id]) -> usize {
    ids.iter().collect::<BTreeSet<_>>().len()
}

/// Replays what the function wrote, twice, and checks that all of its spans are at the collector
/// then, each of them once.
async fn replayed_once(ended: &ProcessExit, collector: &TestCollector, spans: usize) {
    let log = SavedLog::of(&ended.stdout);
    let said = log.replay(collector).await;
    let arrived = ids(&collector.spans().unwrap());
    assert_eq!(
        (arrived.len(), distinct(&arrived)),
        (spans, spans),
        "{said}"
    );
    let requests = collector.exports(Signal::Traces).len();
    let said = log.replay(collector).await;
    assert_eq!(
        collector.exports(Signal::Traces).len(),
        requests,
        "the second time: {said}"
    );
}

#[tokio::test]
async fn a_collector_that_was_never_there_costs_no_response_and_no_span() {
    let collector = TestCollector::bind(Answer::Ok).unwrap();
    let mut run = Run::start(&collector).await;
    for invocation in run.invoke_often(20).await {
        assert!(invocation.billed_time() < WAIT, "{invocation:?}");
    }
    let spans = run.spans();
    let ended = run.end().await;
    let left = spilled(&ended.stdout);
    assert_eq!((left.len(), distinct(&left)), (spans, spans));

    collector.listen().await.unwrap();
    replayed_once(&ended, &collector, spans).await;
    let arrived = collector.spans().unwrap();
    assert_eq!(ids(&arrived), left);
    for number in 0..20 * BATCH {
        let (trace_id, parent) = (Record::trace_id(number), Record::span_id(number));
        let span = arrived.iter().find(|span| span.trace_id == trace_id);
        assert_eq!(span.unwrap().parent_span_id.as_deref(), Some(&*parent));
    }
}

#[tokio::test]
async fn a_batch_whose_span_is_too_long_for_a_line_of_the_log_is_replayed_whole() {
    let collector = TestCollector::bind(Answer::Ok).unwrap();
    let mut run = Run::start(&collector).await;
    run.invoke(4000).await;
    let spans = run.spans();
    let ended = run.end().await;
    assert!(fragments(&ended.stdout) > 1);
    collector.listen().await.unwrap();
    replayed_once(&ended, &collector, spans).await;
    let arrived = collector.spans().unwrap();
    let batch = arrived.iter().find(|span| span.parent_span_id.is_none());
    assert_eq!(batch.unwrap().links.len(), 4000);
}

#[tokio::test]
async fn a_collector_that_hangs_is_waited_for_a_few_times_and_then_no_more() {
    let collector = TestCollector::start(Answer::Hang).await.unwrap();
    let mut run = Run::start(&collector).await;
    let invocations = run.invoke_often(30).await;
    let times: Vec<Duration> = invocations.iter().map(Invocation::billed_time).collect();
    let waited = times.iter().filter(|time| **time >= WAIT).count();
    assert!((1..=3).contains(&waited), "{times:?}");
    assert!(times.iter().all(|time| *time < BUDGET + SLACK), "{times:?}");
    assert!(times[10..].iter().all(|time| *time < WAIT), "{times:?}");

    let spans = run.spans();
    let ended = run.end().await;
    assert_eq!(collector.spans().unwrap(), []);
    collector.set_behaviour(Answer::Ok);
    replayed_once(&ended, &collector, spans).await;
}

#[tokio::test]
async fn what_one_signal_meets_says_nothing_of_the_others() {
    let collector = TestCollector::start(Answer::Ok).await.unwrap();
    collector.set_behaviour_for(Signal::Traces, Answer::Hang);
    let mut run = Run::start(&collector).await;
    let invocations = run.invoke_often(20).await;
    let waited = invocations
        .iter()
        .filter(|invocation| invocation.response_time() > WAIT);
    assert!(waited.count() <= 3);
    assert!(collector.exports(Signal::Metrics).len() >= 10);
    let spans = run.spans();
    let ended = run.end().await;
    assert_eq!(spilled(&ended.stdout).len(), spans);
}

#[tokio::test]
async fn metrics_without_a_quota_cost_the_spans_nothing() {
    let collector = TestCollector::start(Answer::Ok).await.unwrap();
    collector.set_behaviour_for(Signal::Metrics, Answer::RetryAfter(60));
    let mut run = Run::start(&collector).await;
    run.invoke_often(20).await;
    let spans = run.spans();
    run.end().await;
    assert_eq!(collector.spans().unwrap().len(), spans);
}

#[tokio::test]
async fn an_event_that_is_none_is_counted_before_the_response() {
    let collector = TestCollector::start(Answer::Ok).await.unwrap();
    let run = Run::start(&collector).await;
    let event = Bytes::from_static(b"{}");
    let invocation = run.lambda.invoke(event, TIMEOUT).await.unwrap();
    assert!(invocation.response.is_err());
    let metrics = collector.metrics().unwrap();
    assert!(metrics.iter().any(|metric| metric.name == "faas.errors"));
    run.end().await;
}

#[tokio::test]
async fn after_the_response_a_collector_that_hangs_costs_no_response_anything() {
    let collector = TestCollector::start(Answer::Hang).await.unwrap();
    let mut run = Run::start_with(&collector, |function| {
        function.variable("BATON_FLUSH_POINT", "after-response")
    })
    .await;
    for invocation in run.invoke_often(10).await {
        assert!(invocation.response_time() < WAIT, "{invocation:?}");
        assert!(invocation.billed_time() < BUDGET + SLACK);
    }
    let spans = run.spans();
    let ended = run.end().await;
    collector.set_behaviour(Answer::Ok);
    replayed_once(&ended, &collector, spans).await;
}

#[tokio::test]
async fn side_by_side_each_invocation_writes_its_own_spans_once() {
    let collector = TestCollector::start(Answer::Hang).await.unwrap();
    let mut run = Run::start_with(&collector, |function| {
        function.max_concurrency(NonZeroUsize::new(8).unwrap())
    })
    .await;
    // The first ones wait at the same time, and find out together that it hangs.
    for _ in 0..4 {
        for invocation in run.invoke_at_once(8).await {
            assert!(invocation.billed_time() < BUDGET + SLACK);
        }
    }
    for invocation in run.invoke_at_once(8).await {
        assert!(invocation.billed_time() < WAIT, "{invocation:?}");
    }
    let spans = run.spans();
    let ended = run.end().await;
    collector.set_behaviour(Answer::Ok);
    replayed_once(&ended, &collector, spans).await;
}

#[tokio::test]
async fn a_collector_that_asks_to_be_left_alone_is_left_alone_and_used_again() {
    let collector = TestCollector::start(Answer::RetryAfter(1)).await.unwrap();
    let mut run = Run::start(&collector).await;
    run.invoke_often(20).await;
    // One flush, one request of each signal at most: from then on it is left alone.
    assert_eq!(collector.exports(Signal::Traces).len(), 1);
    collector.set_behaviour(Answer::Ok);
    eventually("an export", async || {
        run.invoke(BATCH).await;
        (!collector.spans().unwrap().is_empty()).then_some(())
    })
    .await;
    let told = told_to_cloudwatch(&run.lambda.stdout()).len();
    for invocation in run.invoke_often(10).await {
        let exports = collector.exports(Signal::Traces);
        let arrived = exports.iter().map(|export| export.arrived_at);
        assert!(arrived.max().unwrap() > invocation.delivered_at);
    }

    let spans = run.spans();
    let ended = run.end().await;
    // Not one line for the alarm once all is exported.
    assert_eq!(told_to_cloudwatch(&ended.stdout).len(), told);
    replayed_once(&ended, &collector, spans).await;
}

#[tokio::test]
async fn of_a_collector_that_fails_every_third_time_nobody_notices_anything() {
    let flaky = Behaviour::every(3, Answer::Status(503));
    let collector = TestCollector::start(flaky).await.unwrap();
    let mut run = Run::start(&collector).await;
    for invocation in run.invoke_often(60).await {
        assert!(invocation.billed_time() < WAIT, "{invocation:?}");
    }
    let answers = collector.exports(Signal::Traces);
    let failed = answers.iter().filter(|export| !export.answer.is_success());
    assert!(failed.count() >= 20);
    let spans = run.spans();
    let ended = run.end().await;
    assert_eq!(spilled(&ended.stdout), []);
    let arrived = ids(&collector.spans().unwrap());
    assert_eq!((arrived.len(), distinct(&arrived)), (spans, spans));
}

#[tokio::test]
async fn a_collector_that_is_killed_and_started_again_loses_nothing() {
    let slow = Answer::Delay(Duration::from_millis(50));
    let collector = TestCollector::start(slow).await.unwrap();
    let mut run = Run::start(&collector).await;
    run.invoke_often(3).await;
    // It dies with a request that it has read and not answered.
    let before = collector.exports(Signal::Traces).len();
    let dying = async {
        eventually("the next request", async || {
            (collector.exports(Signal::Traces).len() > before).then_some(())
        })
        .await;
        collector.stop_listening().await;
    };
    tokio::join!(run.invoke(BATCH), dying);
    let unanswered = collector.exports(Signal::Traces).len();
    run.invoke_often(10).await;
    collector.listen().await.unwrap();
    eventually("an export", async || {
        run.invoke(BATCH).await;
        (collector.exports(Signal::Traces).len() > unanswered).then_some(())
    })
    .await;
    run.invoke_often(3).await;

    let spans = run.spans();
    let ended = run.end().await;
    assert!(!spilled(&ended.stdout).is_empty());
    SavedLog::of(&ended.stdout).replay(&collector).await;
    let arrived = ids(&collector.spans().unwrap());
    assert_eq!(distinct(&arrived), spans);
    // What it had read when it died was sent again: nobody could know.
    let twice = arrived.len() - distinct(&arrived);
    assert!(twice <= usize::try_from(BATCH + 1).unwrap(), "{twice}");
}

#[tokio::test]
async fn cloudwatch_is_told_at_once_and_only_where_something_was_not_exported() {
    let collector = TestCollector::start(Answer::Ok).await.unwrap();
    let mut run = Run::start(&collector).await;
    run.invoke_often(5).await;
    collector.stop_listening().await;
    for count in 1..=5 {
        run.invoke(BATCH).await;
        let told = eventually("a line for each of the invocations", async || {
            let told = told_to_cloudwatch(&run.lambda.stdout());
            (told.len() >= count).then_some(told)
        })
        .await;
        assert_eq!(told, vec![BATCH + 1; count]);
    }
    run.end().await;
}
