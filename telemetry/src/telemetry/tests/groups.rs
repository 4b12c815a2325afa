//! Several invocations in one process, each flushing its own spans, over real sockets and on
//! several threads.

use std::pin::pin;

use opentelemetry::global::BoxedSpan;

use super::*;

/// Time after which a flush that has not returned is considered to be waiting.
const WHILE: Duration = Duration::from_millis(50);
/// Budget of flushes that must return before it is used up. Longer than any exchange over loopback
/// takes.
pub(super) const LONG: Duration = Duration::from_secs(20);

/// An invocation with its flush group and the context of its spans.
pub(super) struct Invocation {
    telemetry: Telemetry,
    _group: FlushGroup,
    context: opentelemetry::Context,
}

impl Invocation {
    pub(super) fn start(telemetry: &Telemetry) -> Self {
        let group = telemetry.flush_group();
        let context = group.attach(&opentelemetry::Context::new());
        Self {
            telemetry: telemetry.clone(),
            _group: group,
            context,
        }
    }

    fn start_span(&self, name: &'static str) -> BoxedSpan {
        let tracer = self.telemetry.tracer("test", "1.0.0");
        tracer.start_with_context(name, &self.context)
    }

    pub(super) fn end_span(&self, name: &'static str) {
        self.start_span(name).end();
    }

    pub(super) async fn flush(&self, budget: Duration) -> FlushReport {
        let deadline = Instant::now() + budget;
        self.telemetry
            .flush_context_group(&self.context, deadline)
            .await
    }
}

pub(super) async fn wait_for_requests(collector: &TestCollector, count: usize) {
    let arrived = async {
        while collector.request_count() < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, arrived).await.unwrap();
}

/// Waits for the flush of ungrouped spans that the last flush started.
pub(super) async fn wait_for_ungrouped_flush(telemetry: &Telemetry) {
    let ungrouped_flush = lock(&telemetry.inner.pipeline.ungrouped_flush).take();
    if let Some(ungrouped_flush) = ungrouped_flush {
        ungrouped_flush.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_does_not_wait_for_hanging_requests_of_other_groups() {
    let collector = start_collector(&[CollectorResponse::Hang; 4]).await;
    let telemetry = telemetry(&collector, &[]).await;
    let mut hanging = Vec::new();
    for name in ["one", "two", "three", "four"] {
        let invocation = Invocation::start(&telemetry);
        invocation.end_span(name);
        hanging.push(tokio::spawn(async move { invocation.flush(LONG).await }));
    }
    wait_for_requests(&collector, 4).await;
    let own = Invocation::start(&telemetry);
    own.end_span("own");
    let started = Instant::now();
    let report = own.flush(LONG).await;
    assert!(started.elapsed() < LONG / 2, "{:?}", started.elapsed());
    assert_eq!((report.exported, report.pending, report.late), (1, 4, 0));
    assert_eq!(exported_names(&collector), ["own"]);
    // The spans of the cancelled flushes are sent after the next flush, each of them once.
    for flush in hanging {
        flush.abort();
        assert!(flush.await.unwrap_err().is_cancelled());
    }
    own.flush(LONG).await;
    wait_for_ungrouped_flush(&telemetry).await;
    assert_eq!(own.flush(LONG).await.exported, 5);
    let mut names = exported_names(&collector);
    names.sort_unstable();
    assert_eq!(names, ["four", "one", "own", "three", "two"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_flush_does_not_send_the_spans_of_other_open_groups() {
    let collector = start_collector(&[]).await;
    let telemetry = telemetry(&collector, &[]).await;
    let (own, other) = (Invocation::start(&telemetry), Invocation::start(&telemetry));
    own.end_span("own");
    other.end_span("other");
    end_span(&telemetry, "ungrouped");
    let report = own.flush(LONG).await;
    assert_eq!((report.sent.spans, report.sent.requests), (1, 1));
    wait_for_ungrouped_flush(&telemetry).await;
    assert_eq!(exported_names(&collector), ["own", "ungrouped"]);
    assert_eq!(own.flush(LONG).await.pending, 1);
    // A flush of all spans sends them.
    assert_eq!(telemetry.flush(Instant::now() + LONG).await.pending, 0);
    assert_eq!(exported_names(&collector), ["own", "ungrouped", "other"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_spans_are_counted_and_sent_after_the_next_flush() {
    let collector = start_collector(&[]).await;
    let telemetry = telemetry(&collector, &[]).await;
    let early = Invocation::start(&telemetry);
    let late = early.start_span("ends late");
    early.end_span("in time");
    assert_eq!(early.flush(LONG).await.late, 0);
    early.end_span("behind its flush");
    drop(early);
    drop(late);
    let next = Invocation::start(&telemetry);
    next.end_span("next");
    next.flush(LONG).await;
    wait_for_ungrouped_flush(&telemetry).await;
    let report = next.flush(LONG).await;
    assert_eq!((report.exported, report.late, report.pending), (4, 2, 0));
    let names = exported_names(&collector);
    assert_eq!(names, ["in time", "next", "behind its flush", "ends late"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_spans_of_a_closed_group_are_sent_after_the_next_flush_and_are_not_late() {
    let collector = start_collector(&[CollectorResponse::Status(503); 2]).await;
    let telemetry = telemetry(&collector, &[]).await;
    let (failing, next) = (Invocation::start(&telemetry), Invocation::start(&telemetry));
    failing.end_span("first");
    assert_eq!(failing.flush(LONG).await.pending, 1);
    next.end_span("second");
    assert_eq!(next.flush(LONG).await.pending, 1);
    drop(failing);
    next.flush(LONG).await;
    wait_for_ungrouped_flush(&telemetry).await;
    let report = next.flush(LONG).await;
    assert_eq!((report.exported, report.pending, report.late), (2, 0, 0));
    assert_eq!(exported_names(&collector), ["second", "first"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ungrouped_spans_do_not_delay_a_flush_and_have_one_request_in_flight() {
    let collector =
        start_collector(&[CollectorResponse::Status(200), CollectorResponse::Hang]).await;
    let telemetry = telemetry(&collector, &[("OTEL_EXPORTER_OTLP_TIMEOUT", "2000")]).await;
    let own = Invocation::start(&telemetry);
    end_span(&telemetry, "stray");
    own.end_span("first");
    own.flush(LONG).await;
    wait_for_requests(&collector, 2).await;
    own.end_span("second");
    end_span(&telemetry, "another stray");
    let report = own.flush(LONG).await;
    assert_eq!((report.sent.spans, report.pending), (1, 2));
    assert_eq!(exported_names(&collector), ["first", "second"]);
    assert_eq!(collector.request_count(), 3);
    wait_for_ungrouped_flush(&telemetry).await;
    own.flush(LONG).await;
    wait_for_ungrouped_flush(&telemetry).await;
    assert_eq!(own.flush(LONG).await.pending, 0);
    assert_eq!(exported_names(&collector)[2..], ["stray", "another stray"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buffer_half_full_of_other_groups_spans_is_sent_after_a_flush() {
    let collector = start_collector(&[]).await;
    let telemetry = telemetry(&collector, &[("OTEL_BSP_MAX_QUEUE_SIZE", "4")]).await;
    let (own, other) = (Invocation::start(&telemetry), Invocation::start(&telemetry));
    own.end_span("own");
    other.end_span("first");
    own.flush(LONG).await;
    wait_for_ungrouped_flush(&telemetry).await;
    assert_eq!(exported_names(&collector), ["own"]);
    other.end_span("second");
    own.flush(LONG).await;
    wait_for_ungrouped_flush(&telemetry).await;
    assert_eq!(exported_names(&collector), ["own", "first", "second"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_waits_for_its_spans_that_another_flush_has_in_flight() {
    let collector = start_collector(&[CollectorResponse::Hang]).await;
    let telemetry = telemetry(&collector, &[]).await;
    let invocation = Invocation::start(&telemetry);
    invocation.end_span("span");
    let cloned = telemetry.clone();
    let other = tokio::spawn(async move { cloned.flush(Instant::now() + LONG).await });
    wait_for_requests(&collector, 1).await;
    // The deadline of a flush applies while it waits.
    let report = invocation.flush(WHILE).await;
    assert_eq!((report.exported, report.pending), (0, 1));
    let mut flush = pin!(invocation.flush(LONG));
    assert!(tokio::time::timeout(WHILE, &mut flush).await.is_err());
    // The other flush is cancelled, so this one sends the span.
    other.abort();
    let report = flush.await;
    assert_eq!((report.exported, report.pending), (1, 0));
    assert_eq!(exported_names(&collector), ["span"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_of_all_spans_waits_for_group_flushes_in_progress() {
    let collector = start_collector(&[CollectorResponse::Hang]).await;
    let telemetry = telemetry(&collector, &[]).await;
    let invocation = Invocation::start(&telemetry);
    invocation.end_span("span");
    let other = tokio::spawn(async move { invocation.flush(LONG).await });
    wait_for_requests(&collector, 1).await;
    let mut flush = pin!(telemetry.flush(Instant::now() + LONG));
    assert!(tokio::time::timeout(WHILE, &mut flush).await.is_err());
    other.abort();
    let report = flush.await;
    assert_eq!((report.exported, report.pending), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_concurrent_invocations_export_each_span_exactly_once() {
    const INVOCATIONS: u64 = 40;
    const SPANS: u64 = 50;
    let responses: Vec<CollectorResponse> = (0..INVOCATIONS)
        .map(|at| CollectorResponse::Status(if at % 3 == 1 { 503 } else { 200 }))
        .collect();
    let collector = start_collector(&responses).await;
    let telemetry = telemetry(&collector, &[]).await;
    let invocations: Vec<_> = (0..INVOCATIONS)
        .map(|_| {
            let invocation = Invocation::start(&telemetry);
            tokio::spawn(async move {
                for _ in 0..SPANS {
                    invocation.end_span("span");
                    tokio::task::yield_now().await;
                }
                invocation.flush(LONG).await;
            })
        })
        .collect();
    for invocation in invocations {
        invocation.await.unwrap();
    }
    let report = telemetry.flush(Instant::now() + LONG).await;
    let all = INVOCATIONS * SPANS;
    assert_eq!(
        (report.finished, report.exported, report.pending),
        (all, all, 0)
    );
    assert_eq!(exported_names(&collector).len() as u64, all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_that_a_handler_starts_belong_to_the_group_of_its_record() {
    use opentelemetry::context::FutureExt as _;
    use opentelemetry::trace::TraceContextExt as _;
    let collector = start_collector(&[]).await;
    let telemetry = telemetry(&collector, &[]).await;
    let (own, other) = (Invocation::start(&telemetry), Invocation::start(&telemetry));
    let record = other.context.with_span(other.start_span("record"));
    let handlers = telemetry.clone();
    let handler = async move { end_span(&handlers, "handler's") };
    tokio::spawn(handler.with_context(record.clone()))
        .await
        .unwrap();
    assert_eq!(own.flush(LONG).await.exported, 0);
    record.span().end();
    assert_eq!(other.flush(LONG).await.exported, 2);
    assert_eq!(exported_names(&collector), ["handler's", "record"]);
}
