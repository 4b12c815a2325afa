//! Response bodies with a status of success, some of which acknowledge the request.

use serde_json::Value;

use super::spill::{assert_balanced, spilling_telemetry};
use super::*;
use crate::logs::Capture;

/// A web page with status 200.
const WEB_PAGE: &str = include_str!("responses/web_page.http");

/// Flushes one span to a collector with this response. Returns the report and the log.
async fn flush_with_response(response: &'static str) -> (FlushReport, Vec<Value>) {
    let collector = start_collector(&[CollectorResponse::Raw(response)]).await;
    let (telemetry, _output) = spilling_telemetry(&collector).await;
    let capture = Capture::start();
    end_span(&telemetry, "span");
    let report = flush(&telemetry).await;
    assert_balanced(report);
    assert_eq!(collector.request_count(), 1, "{response}");
    (report, capture.lines())
}

#[tokio::test]
async fn a_web_page_does_not_acknowledge_the_request() {
    let (report, log) = flush_with_response(WEB_PAGE).await;
    assert_eq!((report.exported, report.spilled), (0, 1));
    let line = log
        .iter()
        .find(|line| line["message"] == "spans not exported");
    let line = line.unwrap();
    assert_eq!(line["level"], "WARN");
    assert!(line["endpoint"].as_str().unwrap().ends_with("/v1/traces"));
    let error = line["error"].as_str().unwrap();
    for reported in ["200 OK", "text/html; charset=utf-8"] {
        assert!(error.contains(reported), "{error}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_an_otlp_response_does_not_acknowledge_the_request() {
    for response in [
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 202 X\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n[]",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{x",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 36\r\n\r\n{\"error\":\"no such route\",\"ok\":false}",
        "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{\"ok\":false}",
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ntransfer-encoding: chunked\r\n\r\n1\r\n<\r\n0\r\n\r\n",
    ] {
        let (report, _) = flush_with_response(response).await;
        assert_eq!((report.exported, report.spilled), (0, 1), "{response}");
    }
}

#[tokio::test]
async fn an_empty_body_or_an_otlp_response_acknowledges_the_request() {
    for response in [
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 2\r\n\r\n\x0a\0",
        "HTTP/1.1 200 OK\r\nContent-Type: Application/JSON; charset=utf-8\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 21\r\n\r\n{\"partialSuccess\":{}}",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: 2\r\n\r\n{}",
    ] {
        let (report, log) = flush_with_response(response).await;
        assert_eq!((report.exported, report.spilled), (1, 0), "{response}");
        assert!(
            log.iter().all(|line| line["level"] != "WARN"),
            "{response}: {log:?}"
        );
    }
}

#[tokio::test]
async fn a_partial_success_in_json_is_decoded() {
    const RESPONSE: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 68\r\n\r\n{\"partialSuccess\":{\"rejectedSpans\":\"1\",\"errorMessage\":\"over quota\"}}";
    let (report, log) = flush_with_response(RESPONSE).await;
    assert_eq!((report.exported, report.dropped), (0, 1));
    let line = log
        .iter()
        .find(|line| line["message"] == "spans rejected by the collector");
    assert_eq!(line.unwrap()["collector_message"], "over quota");
}

#[tokio::test]
async fn a_collector_message_without_rejected_spans_is_logged_once() {
    const WARNED: CollectorResponse = CollectorResponse::PartialSuccess(0);
    let collector = start_collector(&[WARNED; 3]).await;
    let (telemetry, _output) = spilling_telemetry(&collector).await;
    let capture = Capture::start();
    for exported in 1..=3 {
        end_span(&telemetry, "span");
        let report = flush(&telemetry).await;
        assert_eq!((report.exported, report.dropped), (exported, 0));
    }
    let mut lines = capture.lines();
    lines.retain(|line| line["collector_message"] == "over quota");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["level"], "WARN");
}

/// Spilled spans may have arrived in this case. The status alone does not show that the peer has
/// read the request.
#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_does_not_acknowledge_the_request() {
    for response in [
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 9\r\n\r\n\x0a",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        let started = Instant::now();
        let (report, log) = flush_with_response(response).await;
        assert!(started.elapsed() < BUDGET + Duration::from_millis(200));
        assert_eq!((report.exported, report.spilled), (0, 1), "{response}");
        let log = serde_json::to_string(&log).unwrap();
        assert!(log.contains("timed out"), "{log}");
    }
}
