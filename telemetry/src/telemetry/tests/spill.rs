//! Spilling of spans that the collector does not accept: they are written to stdout without delay,
//! and every span is accounted for.

use serde_json::Value;

use super::*;

pub(super) const SPILL: (&str, &str) = ("BATON_SPILL", "stdout");

/// Returns telemetry that spills spans, and the output that it spills them to.
pub(super) async fn spilling_telemetry(collector: &TestCollector) -> (Telemetry, Output) {
    let output = Output::captured();
    let telemetry = telemetry_with_output(collector, &[SPILL], output.clone()).await;
    (telemetry, output)
}

/// Returns the lines with spans, and those with metrics of losses.
pub(super) fn lines(output: &Output) -> (Vec<Value>, Vec<Value>) {
    let lines = output.lines();
    let parsed = lines.iter().map(|line| serde_json::from_str(line).unwrap());
    parsed.partition(|line: &Value| line.get("_aws").is_none())
}

pub(super) fn span_names(lines: &[Value]) -> Vec<&str> {
    let mut names = Vec::new();
    for line in lines {
        for resource in line["otlp"]["resourceSpans"].as_array().unwrap() {
            for scope in resource["scopeSpans"].as_array().unwrap() {
                let spans = scope["spans"].as_array().unwrap();
                names.extend(spans.iter().map(|span| span["name"].as_str().unwrap()));
            }
        }
    }
    names
}

pub(super) fn assert_balanced(report: FlushReport) {
    let accounted = report.exported + report.spilled + report.dropped + report.pending;
    assert_eq!(report.finished, accounted, "{report:?}");
}

#[tokio::test]
async fn spans_that_cannot_be_exported_are_spilled_and_reported_immediately() {
    for script in [
        vec![CollectorResponse::Status(503); 2],
        vec![CollectorResponse::Status(400)],
        vec![CollectorResponse::Status(401)],
        vec![CollectorResponse::Hang],
    ] {
        let collector = start_collector(&script).await;
        let (telemetry, output) = spilling_telemetry(&collector).await;
        end_span(&telemetry, "first");
        end_span(&telemetry, "second");
        let started = Instant::now();
        let report = flush(&telemetry).await;
        assert!(started.elapsed() < BUDGET + Duration::from_millis(100));
        assert_eq!((report.spilled, report.pending), (2, 0), "{script:?}");
        assert_balanced(report);
        let (spilled, reported) = lines(&output);
        assert_eq!(span_names(&spilled), ["first", "second"], "{script:?}");
        assert_eq!(reported.len(), 1);
        assert_eq!(reported[0]["SpansSpilled"], 2);
        assert_eq!(reported[0]["ServiceName"], "orders");
        end_span(&telemetry, "third");
        let report = flush(&telemetry).await;
        assert_eq!((report.exported, report.spilled), (1, 2));
        assert_balanced(report);
        assert_eq!(lines(&output).1.len(), 1, "reported of nothing new");
    }
}

#[tokio::test]
async fn a_hanging_collector_delays_two_flushes_and_loses_no_span() {
    let collector = start_collector(&[CollectorResponse::Hang; 100]).await;
    let (telemetry, output) = spilling_telemetry(&collector).await;
    let mut waited = 0;
    for _ in 0..100 {
        end_span(&telemetry, "span");
        let started = Instant::now();
        let report = flush(&telemetry).await;
        assert_balanced(report);
        assert_eq!(report.pending, 0);
        waited += u32::from(started.elapsed() >= BUDGET / 2);
    }
    assert_eq!(waited, 2);
    assert_eq!(collector.request_count(), 2);
    assert_eq!(span_names(&lines(&output).0).len(), 100);
}

#[tokio::test]
async fn a_flush_with_an_expired_deadline_spills_its_spans() {
    let collector = start_collector(&[CollectorResponse::Hang]).await;
    let (telemetry, output) = spilling_telemetry(&collector).await;
    end_span(&telemetry, "span");
    let report = telemetry.flush(Instant::now()).await;
    assert_eq!((report.spilled, report.pending), (1, 0));
    assert_eq!(span_names(&lines(&output).0), ["span"]);
}

#[tokio::test]
async fn a_service_spills_pending_spans_when_the_buffer_is_half_full_and_at_shutdown() {
    let collector = start_collector(&[CollectorResponse::Status(503); 1000]).await;
    let output = Output::captured();
    let settings = [
        SPILL,
        ("OTEL_BSP_SCHEDULE_DELAY", "10"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "10"),
    ];
    let telemetry = telemetry_with_output(&collector, &settings, output.clone()).await;
    telemetry.export_in_background();
    end_span(&telemetry, "first");
    wait_until(|| collector.request_count() >= 4).await;
    assert!(lines(&output).0.is_empty());
    for _ in 0..5 {
        end_span(&telemetry, "more");
    }
    wait_until(|| !lines(&output).0.is_empty()).await;
    assert_eq!(span_names(&lines(&output).0).len(), 6);
    end_span(&telemetry, "last");
    let report = telemetry.shutdown(Instant::now() + BUDGET).await;
    assert_eq!((report.spilled, report.dropped, report.pending), (7, 0, 0));
    assert_balanced(report);
    assert_eq!(span_names(&lines(&output).0).last(), Some(&"last"));
}

pub(super) async fn wait_until(mut condition: impl FnMut() -> bool) {
    let holds = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), holds)
        .await
        .unwrap();
}

#[tokio::test]
async fn pending_spans_are_reported_and_losses_at_shutdown_are_counted_for_every_signal() {
    let collector = start_collector(&[CollectorResponse::Status(503); 1000]).await;
    let output = Output::captured();
    let settings = [
        ("BATON_SPILL", "none"),
        ("OTEL_METRICS_EXPORTER", "otlp"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
    ];
    let telemetry = telemetry_with_output(&collector, &settings, output.clone()).await;
    let counter = telemetry
        .meter("test", "1.0.0")
        .u64_counter("orders")
        .build();
    for pending in 1..=3 {
        end_span(&telemetry, "span");
        counter.add(1, &[]);
        assert_eq!(flush(&telemetry).await.pending, pending);
    }
    let waiting: Vec<_> = lines(&output).1;
    let counts: Vec<_> = waiting.iter().map(|line| &line["SpansPending"]).collect();
    assert_eq!(counts, [1, 2, 3]);
    let report = telemetry.shutdown(Instant::now() + BUDGET).await;
    assert_eq!((report.dropped, report.pending), (3, 0));
    let last = lines(&output).1.pop().unwrap();
    assert_eq!(
        (&last["SpansDropped"], &last["SpansPending"]),
        (&3.into(), &0.into())
    );
    assert!(last["MetricPointsDropped"].as_u64().unwrap() >= 1, "{last}");
}
