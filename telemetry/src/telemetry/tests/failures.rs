//! Log lines of flushes that fail.

use super::*;
use crate::logs::Capture;

#[tokio::test]
async fn repeated_failures_are_logged_once_until_an_export_succeeds() {
    // Each flush sends its request twice.
    let mut script = vec![CollectorResponse::Status(503); 2 * 3];
    script.extend([
        CollectorResponse::Status(200),
        CollectorResponse::Status(503),
        CollectorResponse::Status(503),
    ]);
    let collector = start_collector(&script).await;
    let telemetry = telemetry(&collector, &[]).await;
    let capture = Capture::start();
    let failures = || {
        let mut lines = capture.lines();
        lines.retain(|line| line["message"] == "spans not exported");
        lines
    };
    let mut reported = Vec::new();
    for _ in 0..5 {
        end_span(&telemetry, "span");
        flush(&telemetry).await;
        reported.push(failures().len());
    }
    assert_eq!(reported, [1, 1, 1, 1, 2]);
    let lines = failures();
    let endpoint = format!("{}/v1/traces", collector.endpoint());
    assert_eq!(lines[0]["endpoint"], endpoint);
    assert_eq!(lines[1]["suppressed_failures"], 2);
}

#[tokio::test]
async fn a_report_states_whether_the_flush_has_used_up_its_time() {
    let failed = CollectorResponse::Status(503);
    let collector = start_collector(&[CollectorResponse::Hang, failed, failed]).await;
    let telemetry = telemetry(&collector, &[]).await;
    end_span(&telemetry, "span");
    assert!(flush(&telemetry).await.timed_out);
    let report = flush(&telemetry).await;
    assert_eq!((report.timed_out, report.pending), (false, 1));
    assert_eq!(flush(&telemetry).await.pending, 0);
}

#[tokio::test]
async fn the_report_of_a_shutdown_states_whether_it_has_used_up_its_time() {
    for (response, timed_out) in [
        (CollectorResponse::Hang, true),
        (CollectorResponse::Ok, false),
    ] {
        let collector = start_collector(&[response]).await;
        let telemetry = telemetry(&collector, &[]).await;
        end_span(&telemetry, "span");
        let report = telemetry.shutdown(Instant::now() + BUDGET).await;
        assert_eq!(report.timed_out, timed_out, "{response:?}");
    }
}
