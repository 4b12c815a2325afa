//! Spans that the collector rejects in a partial success.

use std::io::Read as _;

use super::*;

/// Flushes three spans. Returns the report and the log.
async fn flush_rejected(rejected: i64) -> (FlushReport, String) {
    let collector = start_collector(&[CollectorResponse::PartialSuccess(rejected)]).await;
    let telemetry = telemetry(&collector, &[]).await;
    // Two scopes, so that the request has two chunks.
    for scope in ["one", "one", "two"] {
        telemetry.tracer(scope, "1.0.0").start("span").end();
    }
    let (mut log, writer) = std::io::pipe().unwrap();
    let subscriber = tracing_subscriber::fmt().with_writer(Arc::new(writer));
    let logging = tracing::subscriber::set_default(subscriber.with_ansi(false).finish());
    let report = flush(&telemetry).await;
    drop(logging);
    assert_eq!(collector.request_count(), 1);
    let mut logged = String::new();
    log.read_to_string(&mut logged).unwrap();
    (report, logged)
}

#[tokio::test]
async fn rejected_spans_are_dropped_and_reported() {
    // A collector cannot reject more spans than it was sent.
    for (rejected, dropped) in [(1, 1), (3, 3), (i64::MAX, 3)] {
        let (report, log) = flush_rejected(rejected).await;
        let counts = (report.exported, report.dropped, report.pending);
        assert_eq!(counts, (3 - dropped, dropped, 0));
        let line = log.lines().find(|line| line.contains("rejected by"));
        let line = line.unwrap();
        assert!(line.contains(&format!("rejected={dropped}")), "{line}");
        assert!(line.contains("/v1/traces"), "{line}");
        assert!(line.contains("over quota"), "{line}");
    }
}
