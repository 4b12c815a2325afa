//! Tests of collectors that reject requests or spans, of wrong endpoints, and of the environment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use baton_local::otlp::{SpanStore, serve_grpc};
use baton_test_support::{Behaviour, Bytes, CollectorResponse, Signal, TestCollector};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::{CommandOutput, ReplayCommand, accepted_spans, span, spans_in, spill_lines};

/// Returns spill lines of two processes.
fn two_lines() -> String {
    [spill_lines(&[span("a", 10)]), spill_lines(&[span("b", 10)])]
        .concat()
        .join("\n")
}

/// Rejects requests with a span of this name.
fn reject_span(name: &'static str) -> Behaviour {
    Behaviour::from_fn(move |_, body| {
        let request = ExportTraceServiceRequest::decode(body.clone()).unwrap();
        reject_if(spans_in(request).iter().any(|span| span.name == name))
    })
}

/// Rejects requests with a body that is longer than this, or empty.
fn reject_long_and_empty(limit: usize) -> Behaviour {
    Behaviour::from_fn(move |_, body| reject_if(body.is_empty() || body.len() > limit))
}

fn reject_if(is_rejected: bool) -> CollectorResponse {
    if is_rejected {
        CollectorResponse::Status(400)
    } else {
        CollectorResponse::Ok
    }
}

#[tokio::test]
async fn a_request_to_a_busy_collector_is_retried() {
    let script = Behaviour::script(&[
        CollectorResponse::Status(503),
        CollectorResponse::Status(429),
    ]);
    let collector = TestCollector::start(script).await.unwrap();
    let command = ReplayCommand::new(two_lines());
    let output = command.replay(&collector, &["--json"]).await;
    assert_eq!(output.code, Some(0), "{}", output.err);
    assert_eq!(
        (
            output.json()["requests"].as_u64(),
            accepted_spans(&collector).len()
        ),
        (Some(3), 2)
    );
}

#[tokio::test]
async fn rejected_spans_are_reported_and_not_sent_again() {
    let script = Behaviour::script(&[CollectorResponse::PartialSuccess(1)]);
    let collector = TestCollector::start(script).await.unwrap();
    let command = ReplayCommand::new(two_lines());
    let output = command.replay(&collector, &[]).await;
    assert_eq!(output.code, Some(1));
    let is_counted = output.out.contains("rejected      1 span\n");
    assert!(
        is_counted && output.out.contains("collector message: over quota"),
        "{}",
        output.out
    );
    let output = command.replay(&collector, &[]).await;
    assert_eq!((output.code, collector.request_count()), (Some(0), 1));
}

#[tokio::test]
async fn a_rejected_line_does_not_prevent_sending_others() {
    let collector = TestCollector::start(reject_span("a")).await.unwrap();
    let command = ReplayCommand::new(two_lines());
    for _ in 0..2 {
        let output = command.replay(&collector, &[]).await;
        assert_eq!(
            (output.code, accepted_spans(&collector).len()),
            (Some(1), 1),
            "{}",
            output.err
        );
        assert!(
            output.out.contains("1 span failed: ") && output.out.contains("400"),
            "{}",
            output.out
        );
    }
}

#[tokio::test]
async fn replay_stops_at_rejected_credentials() {
    let collector = TestCollector::start(CollectorResponse::Status(401))
        .await
        .unwrap();
    let command = ReplayCommand::new(two_lines());
    let output = command.replay(&collector, &[]).await;
    assert_eq!((output.code, collector.request_count()), (Some(1), 1));
    assert!(
        output.err.contains("OTEL_EXPORTER_OTLP_HEADERS"),
        "{}",
        output.err
    );
}

const NO_RECEIVER: &str = "the endpoint's path or port is not that of an OTLP receiver";

/// Asserts that the replay stopped after this many requests, reported the cause, and left all spans
/// to be sent later.
async fn assert_misdirected(
    requests: u64,
    command: &ReplayCommand,
    output: &CommandOutput,
    expected: [&str; 2],
) {
    assert_eq!(output.code, Some(1), "{}", output.err);
    assert!(
        expected
            .iter()
            .all(|expected| output.err.contains(expected)),
        "{}",
        output.err
    );
    let report = output.json();
    assert_eq!(
        (&report["requests"], &report["failed"]),
        (&json!(requests), &json!([]))
    );
    assert_eq!(
        (&report["spans"]["not_sent"], &report["complete"]),
        (&json!(2), &json!(false))
    );
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    command.replay(&collector, &[]).await;
    assert_eq!(accepted_spans(&collector).len(), 2);
}

#[tokio::test]
async fn replay_stops_at_an_endpoint_that_is_not_a_collector() {
    for status in [404, 405, 415] {
        let collector = TestCollector::start(CollectorResponse::Status(status))
            .await
            .unwrap();
        let command = ReplayCommand::new(two_lines());
        let output = command.replay(&collector, &["--json"]).await;
        assert_eq!(collector.request_count(), 1, "{status}");
        assert_misdirected(1, &command, &output, [NO_RECEIVER, &status.to_string()]).await;
    }
}

#[tokio::test]
async fn a_web_page_is_not_recorded_in_the_ledger() {
    const RESPONSE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\n\
        content-length: 15\r\n\r\n<!doctype html>";
    let collector = TestCollector::start(CollectorResponse::Raw(RESPONSE))
        .await
        .unwrap();
    let command = ReplayCommand::new(two_lines());
    let output = command.replay(&collector, &["--json"]).await;
    assert_eq!(collector.request_count(), 1);
    assert!(
        output.err.contains("text/html; charset=utf-8"),
        "{}",
        output.err
    );
    assert_misdirected(1, &command, &output, [NO_RECEIVER, "200 OK"]).await;
}

#[tokio::test]
async fn replay_stops_if_the_endpoint_also_rejects_an_empty_request() {
    let collector = TestCollector::start(CollectorResponse::Status(400))
        .await
        .unwrap();
    let command = ReplayCommand::new(two_lines());
    let output = command.replay(&collector, &["--json"]).await;
    // One request with both lines, one with each, and the empty one.
    assert_misdirected(4, &command, &output, [NO_RECEIVER, "400 Bad Request"]).await;
}

#[tokio::test]
async fn an_endpoint_that_rejects_every_line_is_not_sent_all_of_them() {
    let collector = TestCollector::start(CollectorResponse::Status(400))
        .await
        .unwrap();
    let lines = (0..100).map(|number| spill_lines(&[span(&number.to_string(), 10)]));
    let command = ReplayCommand::new(lines.collect::<Vec<_>>().concat().join("\n"));
    let output = command.replay(&collector, &[]).await;
    assert!(output.err.contains(NO_RECEIVER), "{}", output.err);
    assert_eq!(collector.request_count(), 5);
}

#[tokio::test]
async fn an_endpoint_that_rejects_large_and_empty_requests_gets_each_line() {
    let collector = TestCollector::start(reject_long_and_empty(2000))
        .await
        .unwrap();
    let lines = ["a", "b", "c"].map(|name| spill_lines(&[span(name, 1000)]));
    let command = ReplayCommand::new(lines.concat().join("\n"));
    let output = command.replay(&collector, &[]).await;
    assert_eq!(
        (output.code, accepted_spans(&collector).len()),
        (Some(0), 3),
        "{}",
        output.err
    );
}

#[tokio::test]
async fn a_warning_of_the_collector_is_logged_once() {
    let collector = TestCollector::start(CollectorResponse::PartialSuccess(0))
        .await
        .unwrap();
    // Each span fills a request.
    let spans = ["a", "b"].map(|name| spill_lines(&[span(name, 3_000_000)]));
    let command = ReplayCommand::new(spans.concat().join("\n"));
    let output = command.replay(&collector, &[]).await;
    assert_eq!((output.code, collector.request_count()), (Some(0), 2));
    assert_eq!(
        output.err.matches("over quota").count(),
        1,
        "{}",
        output.err
    );
    let endpoint = format!("{}/v1/traces", collector.endpoint());
    assert!(output.err.contains(&endpoint), "{}", output.err);
}

#[tokio::test]
async fn a_failure_after_accepted_spans_is_reported_as_partial() {
    let script = Behaviour::script(&[
        CollectorResponse::PartialSuccess(1),
        CollectorResponse::Status(401),
    ]);
    let collector = TestCollector::start(script).await.unwrap();
    // Each span fills a request.
    let spans = ["a", "b"].map(|name| spill_lines(&[span(name, 3_000_000)]));
    let command = ReplayCommand::new(spans.concat().join("\n"));
    let output = command.replay(&collector, &[]).await;
    let expected = format!(
        "error: not all spans were sent to {}/v1/traces: the ledger records the accepted requests",
        collector.endpoint()
    );
    assert_eq!(output.code, Some(1), "{}", output.err);
    assert!(output.err.contains(&expected), "{}", output.err);
}

#[tokio::test]
async fn a_redirect_is_reported_with_its_target() {
    const RESPONSE: &str = "HTTP/1.1 307 Temporary Redirect\r\n\
        location: https://collector.example/v1/traces?key=SECRET\r\ncontent-length: 0\r\n\r\n";
    let collector = TestCollector::start(CollectorResponse::Raw(RESPONSE))
        .await
        .unwrap();
    let command = ReplayCommand::new(two_lines());
    let output = command.replay(&collector, &["--json"]).await;
    let location = "307 Temporary Redirect, a redirect to https://collector.example/v1/traces";
    assert_misdirected(
        1,
        &command,
        &output,
        ["redirects are not followed", location],
    )
    .await;
}

#[tokio::test]
async fn an_endpoint_with_the_path_of_a_signal_is_reported_with_the_resulting_path() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let endpoint = format!("{}/v1/traces", collector.endpoint());
    let command = ReplayCommand::new(two_lines());
    let arguments = ["log", "--json", "--endpoint", &endpoint];
    let output = command.run(&arguments, &[], b"").await;
    assert_eq!(collector.request_count(), 1);
    assert!(
        output.err.contains("a base URL without /v1/traces"),
        "{}",
        output.err
    );
    assert_misdirected(1, &command, &output, [NO_RECEIVER, "/v1/traces/v1/traces"]).await;
}

/// Starts a server that responds to every request with status 404. Unlike [`TestCollector`] it
/// supports HTTP/2, which gRPC needs. Returns its endpoint, and the number of requests so far.
async fn start_http2_server() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let request_count = Arc::new(AtomicUsize::new(0));
    let app = Router::new().fallback({
        let request_count = Arc::clone(&request_count);
        async move |_: Bytes| {
            request_count.fetch_add(1, Ordering::Relaxed);
            StatusCode::NOT_FOUND
        }
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    (endpoint, request_count)
}

#[tokio::test]
async fn replay_stops_if_grpc_is_sent_to_an_http_port() {
    let (endpoint, request_count) = start_http2_server().await;
    let command = ReplayCommand::new(two_lines());
    let environment = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    let arguments = ["log", "--json", "--endpoint", &endpoint];
    let output = command.run(&arguments, &environment, b"").await;
    assert_eq!(request_count.load(Ordering::Relaxed), 1);
    assert_misdirected(1, &command, &output, ["UNIMPLEMENTED", NO_RECEIVER]).await;
}

#[tokio::test]
async fn replay_stops_if_http_is_sent_to_a_grpc_port() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let store = SpanStore::default();
    tokio::spawn(serve_grpc(listener, store.clone(), std::future::pending()));
    let command = ReplayCommand::new(two_lines());
    let arguments = ["log", "--json", "--endpoint", &endpoint];
    let output = command.run(&arguments, &[], b"").await;
    assert_misdirected(
        1,
        &command,
        &output,
        ["the response is not HTTP/1.1", NO_RECEIVER],
    )
    .await;
}

#[tokio::test]
async fn all_spans_can_be_sent_after_the_collector_was_down() {
    // The port is reserved. Otherwise it could become that of a collector in another test, which
    // would then receive these requests.
    let collector = TestCollector::bind(CollectorResponse::Ok).unwrap();
    let command = ReplayCommand::new(two_lines());
    let output = command.replay(&collector, &[]).await;
    assert_eq!(output.code, Some(1));
    let expected = format!(
        "error: no spans were sent to {}/v1/traces\n",
        collector.endpoint()
    );
    let is_reported = output.err.contains(&expected) && output.err.contains("Connection refused");
    assert!(
        is_reported && !output.err.contains("ledger"),
        "{}",
        output.err
    );
    for expected in ["sent          0 spans", "not sent      2 spans"] {
        assert!(output.out.contains(expected), "{}", output.out);
    }

    collector.listen().await.unwrap();
    command.replay(&collector, &[]).await;
    assert_eq!(accepted_spans(&collector).len(), 2);
}

/// Returns the header `x-key` of the first request.
fn first_key(collector: &TestCollector) -> Option<String> {
    let requests = collector.exports(Signal::Traces);
    requests[0].header("x-key").map(str::to_owned)
}

#[tokio::test]
async fn the_environment_is_read_as_in_a_service() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let endpoint = collector.endpoint();
    let command = ReplayCommand::new(two_lines());
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret value"),
        // A service that does not export still spills, and its spans are replayed.
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
    ];
    let output = command.run(&["log"], &environment, b"").await;
    assert_eq!(
        (output.code, accepted_spans(&collector).len()),
        (Some(0), 2),
        "{}",
        output.err
    );
    assert_eq!(first_key(&collector).as_deref(), Some("secret value"));
}

#[tokio::test]
async fn an_invalid_environment_is_reported_before_anything_is_sent() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let command = ReplayCommand::new(two_lines());
    let environment = [("OTEL_EXPORTER_OTLP_HEADERS", "no header")];
    let arguments = ["log", "--endpoint", &collector.endpoint()];
    let output = command.run(&arguments, &environment, b"").await;
    assert!(
        output.err.contains("OTEL_EXPORTER_OTLP_HEADERS"),
        "{}",
        output.err
    );
    assert_eq!((output.code, collector.request_count()), (Some(4), 0));
}

#[tokio::test]
async fn each_invalid_setting_has_its_own_error() {
    let command = ReplayCommand::new(two_lines());
    let environment = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "no header"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
    ];
    for endpoint in ["ftp://collector", ""] {
        let arguments = ["log", "--endpoint", endpoint];
        let output = command.run(&arguments, &environment, b"").await;
        assert_eq!((output.code, output.out.as_str()), (Some(4), ""));
        let lines: Vec<&str> = output.err.lines().collect();
        assert_eq!(lines.len(), 3, "{}", output.err);
        for name in [
            "--endpoint",
            "OTEL_EXPORTER_OTLP_HEADERS",
            "OTEL_EXPORTER_OTLP_TIMEOUT",
        ] {
            let beginning = format!("error: {name}: expected ");
            let is_reported = lines.iter().any(|line| line.starts_with(&beginning));
            assert!(is_reported, "{name}: {}", output.err);
        }
        for consequence in ["ignored", "the default", "disabled"] {
            assert!(!output.err.contains(consequence), "{}", output.err);
        }
    }
}

#[tokio::test]
async fn a_secret_with_headers_is_not_read_and_is_reported() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let command = ReplayCommand::new(two_lines());
    let arguments = ["log", "--endpoint", &collector.endpoint()];
    let secret = ("OTEL_EXPORTER_OTLP_HEADERS_SECRET", "arn:aws:x");
    let output = command.run(&arguments, &[secret], b"").await;
    assert_eq!((output.code, collector.request_count()), (Some(4), 0));
    let expected = "error: OTEL_EXPORTER_OTLP_HEADERS_SECRET is not read here: set OTEL_EXPORTER_OTLP_HEADERS to ";
    assert!(output.err.starts_with(expected), "{}", output.err);
    assert_eq!(output.err.lines().count(), 1, "{}", output.err);

    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a");
    let output = command.run(&arguments, &[secret, headers], b"").await;
    assert_eq!(
        (output.code, accepted_spans(&collector).len()),
        (Some(0), 2)
    );
    let expected =
        "warning: variable ignored: headers are read only from OTEL_EXPORTER_OTLP_HEADERS";
    assert!(output.err.starts_with(expected), "{}", output.err);
    assert!(output.err.contains(secret.0), "{}", output.err);
    assert_eq!(first_key(&collector).as_deref(), Some("a"));
}

#[tokio::test]
async fn spans_are_sent_over_grpc() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let store = SpanStore::default();
    tokio::spawn(serve_grpc(listener, store.clone(), std::future::pending()));
    let command = ReplayCommand::new(two_lines());
    let environment = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    let output = command
        .run(&["log", "--endpoint", &endpoint], &environment, b"")
        .await;
    assert_eq!(
        (output.code, store.totals().received),
        (Some(0), 2),
        "{}",
        output.err
    );
}
