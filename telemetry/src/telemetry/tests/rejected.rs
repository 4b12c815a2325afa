//! Spans that the collector rejects in a partial success.

use serde_json::Value;

use super::*;
use crate::logs::Capture;

/// Flushes three spans. Returns the report and the log.
async fn flush_rejected(rejected: i64) -> (FlushReport, Vec<Value>) {
    let collector = start_collector(&[CollectorResponse::PartialSuccess(rejected)]).await;
    let telemetry = telemetry(&collector, &[]).await;
    // Two scopes, so that the request has two chunks.
    for scope in ["one", "one", "two"] {
        telemetry.tracer(scope, "1.0.0").start("span").end();
    }
    let capture = Capture::start();
    let report = flush(&telemetry).await;
    assert_eq!(collector.request_count(), 1);
    (report, capture.lines())
}

#[tokio::test]
async fn rejected_spans_are_dropped_and_reported() {
    // A collector cannot reject more spans than it was sent.
    for (rejected, dropped) in [(1, 1), (3, 3), (i64::MAX, 3)] {
        let (report, log) = flush_rejected(rejected).await;
        let counts = (report.exported, report.dropped, report.pending);
        assert_eq!(counts, (3 - dropped, dropped, 0));
        let message = "spans rejected by the collector";
        let line = log.iter().find(|line| line["message"] == message).unwrap();
        assert_eq!(line["rejected"], dropped);
        assert!(line["endpoint"].as_str().unwrap().ends_with("/v1/traces"));
        assert_eq!(line["collector_message"], "over quota");
    }
}
