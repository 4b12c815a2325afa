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
