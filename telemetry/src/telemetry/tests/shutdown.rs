//! Spans in flight at shutdown, ungrouped spans during an outage, and spans while a metrics export
//! hangs.

use tokio::task::JoinHandle;

use super::groups::{Invocation, LONG, wait_for_requests, wait_for_ungrouped_flush};
use super::spill::{SPILL, assert_balanced, lines, span_names, spilling_telemetry, wait_until};
use super::*;

/// Starts flushes of this many groups, and waits until each has a request in flight that hangs.
async fn start_hanging_flushes(
    collector: &TestCollector,
    telemetry: &Telemetry,
    count: usize,
) -> Vec<JoinHandle<FlushReport>> {
    let flush = |invocation: Invocation| async move {
        invocation.end_span("on its way");
        invocation.flush(LONG).await
    };
    let started = (0..count).map(|_| tokio::spawn(flush(Invocation::start(telemetry))));
    let flushes = started.collect();
    wait_for_requests(collector, count).await;
    flushes
}

#[tokio::test]
async fn shutdown_spills_the_spans_that_another_flush_has_in_flight() {
    for budget in [BUDGET, Duration::ZERO] {
        let collector = start_collector(&[CollectorResponse::Hang; 10]).await;
        let (telemetry, output) = spilling_telemetry(&collector).await;
        end_span(&telemetry, "on its way");
        let other = telemetry.clone();
        let other = tokio::spawn(async move { other.flush(Instant::now() + LONG).await });
        wait_for_requests(&collector, 1).await;
        end_span(&telemetry, "behind it");
        let report = telemetry.shutdown(Instant::now() + budget).await;
        assert_eq!((report.spilled, report.pending), (2, 0), "{budget:?}");
        assert_balanced(report);
        // The other flush has nothing left to send, and spills no span a second time.
        assert_balanced(other.await.unwrap());
        assert_eq!(collector.request_count(), 1);
        assert_eq!(span_names(&lines(&output).0).len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_spills_the_spans_that_many_groups_have_in_flight_once() {
    const GROUPS: usize = 20;
    for budget in [BUDGET, Duration::ZERO] {
        let collector = start_collector(&[CollectorResponse::Hang; 10 * GROUPS]).await;
        let (telemetry, output) = spilling_telemetry(&collector).await;
        let flushes = start_hanging_flushes(&collector, &telemetry, GROUPS).await;
        let report = telemetry.shutdown(Instant::now() + budget).await;
        assert_eq!(report.spilled, GROUPS as u64, "{budget:?}");
        assert_eq!((report.pending, report.dropped), (0, 0));
        for flush in flushes {
            assert_balanced(flush.await.unwrap());
        }
        assert_eq!(span_names(&lines(&output).0).len(), GROUPS);
    }
}

/// Starts a collector that accepts one request and gives `later` to all others, and telemetry that
/// spills what it does not accept.
async fn start_spilling(later: CollectorResponse) -> (TestCollector, Telemetry, Output) {
    let mut script = vec![CollectorResponse::Status(200)];
    script.extend([later; 10]);
    let collector = start_collector(&script).await;
    let (telemetry, output) = spilling_telemetry(&collector).await;
    (collector, telemetry, output)
}

/// Flushes an invocation with the span `own` while the ungrouped span `stray` is pending.
async fn flush_with_stray(telemetry: &Telemetry) -> Invocation {
    let own = Invocation::start(telemetry);
    own.end_span("own");
    end_span(telemetry, "stray");
    own.flush(LONG).await;
    own
}

#[tokio::test]
async fn shutdown_spills_ungrouped_spans_in_flight() {
    let (collector, telemetry, output) = start_spilling(CollectorResponse::Hang).await;
    flush_with_stray(&telemetry).await;
    wait_for_requests(&collector, 2).await;
    let report = telemetry.shutdown(Instant::now() + BUDGET).await;
    assert_eq!((report.exported, report.spilled, report.pending), (1, 1, 0));
    assert_eq!(span_names(&lines(&output).0), ["stray"]);
}

#[tokio::test]
async fn shutdown_returns_as_soon_as_no_spans_are_in_flight() {
    let collector = start_collector(&[CollectorResponse::Hang]).await;
    let (telemetry, output) = spilling_telemetry(&collector).await;
    end_span(&telemetry, "span");
    let other = telemetry.clone();
    let other = tokio::spawn(async move { flush(&other).await });
    wait_for_requests(&collector, 1).await;
    let started = Instant::now();
    let report = telemetry.shutdown(started + LONG).await;
    assert!(started.elapsed() < LONG / 2, "{:?}", started.elapsed());
    assert_eq!((report.spilled, report.pending), (1, 0));
    assert_eq!(other.await.unwrap().spilled, 1);
    assert_eq!(span_names(&lines(&output).0), ["span"]);
}

#[tokio::test]
async fn shutdown_with_an_expired_deadline_spills_all_spans() {
    let collector = start_collector(&[CollectorResponse::Hang; 10]).await;
    let (telemetry, output) = spilling_telemetry(&collector).await;
    // Each scope is a separate chunk.
    let names = ["one", "two", "three"];
    for name in names {
        telemetry.tracer(name, "1.0.0").start(name).end();
    }
    let report = telemetry.shutdown(Instant::now()).await;
    assert_eq!((report.spilled, report.pending), (3, 0));
    assert_eq!(span_names(&lines(&output).0), names);
}

#[tokio::test]
async fn spans_that_end_during_shutdown_are_exported() {
    let collector = start_collector(&[]).await;
    let (telemetry, output) = spilling_telemetry(&collector).await;
    end_span(&telemetry, "first");
    let (report, ()) = tokio::join!(telemetry.shutdown(Instant::now() + LONG), async {
        end_span(&telemetry, "second")
    });
    assert_eq!((report.exported, report.pending), (2, 0));
    assert_eq!(exported_names(&collector), ["first", "second"]);
    assert!(output.lines().is_empty());
}

#[tokio::test]
async fn shutdown_without_a_spill_does_not_cancel_other_flushes() {
    let collector = start_collector(&[CollectorResponse::Hang]).await;
    let telemetry = telemetry(&collector, &[]).await;
    let mut flushes = start_hanging_flushes(&collector, &telemetry, 1).await;
    let report = telemetry.shutdown(Instant::now() + BUDGET).await;
    assert_eq!((report.spilled, report.pending), (0, 1));
    let other = flushes.remove(0);
    assert!(!other.is_finished());
    // A program that keeps running after the shutdown loses no spans.
    other.abort();
    assert!(other.await.unwrap_err().is_cancelled());
    let report = telemetry.shutdown(Instant::now() + BUDGET).await;
    assert_eq!((report.exported, report.pending), (1, 0));
}

#[tokio::test]
async fn ungrouped_spans_are_spilled_after_a_failed_flush() {
    let collector = start_collector(&[CollectorResponse::Status(503); 1000]).await;
    let output = Output::captured();
    let settings = [SPILL, ("OTEL_BSP_MAX_QUEUE_SIZE", "10")];
    let telemetry = telemetry_with_output(&collector, &settings, output.clone()).await;
    let living = Invocation::start(&telemetry);
    for round in 1..=40 {
        let own = Invocation::start(&telemetry);
        own.end_span("own");
        end_span(&telemetry, "stray");
        let report = own.flush(LONG).await;
        assert_eq!((report.spilled, report.pending), (2 * round, 0));
        assert_balanced(report);
    }
    assert_eq!(span_names(&lines(&output).0)[..2], ["own", "stray"]);
    // Spans of an open group stay in the buffer, unless they fill half of it.
    let own = Invocation::start(&telemetry);
    for (ended, left) in [(1, 1), (3, 4), (1, 0)] {
        (0..ended).for_each(|_| living.end_span("living"));
        own.end_span("own");
        let report = own.flush(LONG).await;
        assert_eq!((report.pending, report.dropped), (left, 0));
    }
}

#[tokio::test]
async fn ungrouped_spans_that_the_collector_does_not_accept_are_spilled() {
    let (_collector, telemetry, output) = start_spilling(CollectorResponse::Status(503)).await;
    let own = flush_with_stray(&telemetry).await;
    wait_for_ungrouped_flush(&telemetry).await;
    assert_eq!(span_names(&lines(&output).0), ["stray"]);
    let report = own.flush(LONG).await;
    assert_eq!((report.exported, report.spilled, report.pending), (1, 1, 0));
}

#[tokio::test]
async fn a_service_spills_each_half_full_buffer_without_contacting_a_failed_collector() {
    const HALF: usize = 10;
    let collector = start_collector(&[CollectorResponse::Status(503); 1000]).await;
    let output = Output::captured();
    let settings = [
        SPILL,
        ("OTEL_BSP_SCHEDULE_DELAY", "60000"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "20"),
    ];
    let telemetry = telemetry_with_output(&collector, &settings, output.clone()).await;
    telemetry.export_in_background();
    for round in 1..=5 {
        (0..HALF).for_each(|_| end_span(&telemetry, "span"));
        wait_until(|| span_names(&lines(&output).0).len() == round * HALF).await;
    }
    assert_eq!(collector.request_count(), 2);
    let report = telemetry.shutdown(Instant::now() + BUDGET).await;
    assert_eq!((report.spilled, report.dropped), (5 * HALF as u64, 0));
}

#[tokio::test]
async fn a_hanging_metrics_export_in_the_background_does_not_delay_spans() {
    const INTERVAL: Duration = Duration::from_secs(2);
    let collector = start_collector(&[]).await;
    script_metrics(&collector, &[CollectorResponse::Hang; 10]);
    let settings = [
        ("OTEL_METRICS_EXPORTER", "otlp"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "2000"),
        ("OTEL_BSP_SCHEDULE_DELAY", "10"),
    ];
    let telemetry = telemetry(&collector, &settings).await;
    telemetry
        .meter("test", "1.0.0")
        .u64_counter("orders")
        .build()
        .add(1, &[]);
    telemetry.export_in_background();
    wait_until(|| metrics_requests(&collector) == 1).await;
    let hangs = Instant::now();
    for count in 1..=3 {
        end_span(&telemetry, "span");
        wait_until(|| exported_names(&collector).len() == count).await;
    }
    assert!(hangs.elapsed() < INTERVAL / 2, "{:?}", hangs.elapsed());
    // Shutdown does not wait for the hanging export.
    end_span(&telemetry, "last");
    let report = telemetry.shutdown(Instant::now() + BUDGET).await;
    assert_eq!((report.exported, report.pending), (4, 0));
    assert!(hangs.elapsed() < INTERVAL, "{:?}", hangs.elapsed());
}
