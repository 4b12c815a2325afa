//! Collectors that do not take everything, or nothing.

use baton_local::otlp::{SpanStore, serve_grpc};
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::{Answer, Collector, Desk, Said, span, spilled};

/// Lines of two processes.
fn two_lines() -> String {
    [spilled(&[span("a", 10)]), spilled(&[span("b", 10)])]
        .concat()
        .join("\n")
}

#[tokio::test]
async fn a_collector_that_is_busy_is_asked_again() {
    let collector = Collector::start().await;
    collector.script(&[Answer::Status(503), Answer::Status(429)]);
    let desk = Desk::new(two_lines());
    let said = desk.replay(&collector, &["--json"]).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(
        (said.json()["requests"].as_u64(), collector.spans().len()),
        (Some(3), 2)
    );
}

#[tokio::test]
async fn what_is_rejected_is_told_and_not_sent_again() {
    let collector = Collector::start().await;
    collector.script(&[Answer::Reject(1)]);
    let desk = Desk::new(two_lines());
    let said = desk.replay(&collector, &[]).await;
    assert_eq!(said.code, Some(1));
    let told = said.out.contains("rejected      1 span\n");
    assert!(
        told && said.out.contains("the collector says: over quota"),
        "{}",
        said.out
    );
    let said = desk.replay(&collector, &[]).await;
    assert_eq!((said.code, collector.requests().len()), (Some(0), 1));
}

#[tokio::test]
async fn a_line_that_is_refused_does_not_keep_others_back() {
    let collector = Collector::start().await;
    collector.always(Answer::RefuseWith("a"));
    let desk = Desk::new(two_lines());
    for _ in 0..2 {
        let said = desk.replay(&collector, &[]).await;
        assert_eq!(
            (said.code, collector.spans().len()),
            (Some(1), 1),
            "{}",
            said.err
        );
        assert!(
            said.out.contains("1 span refused: ") && said.out.contains("400"),
            "{}",
            said.out
        );
    }
}

#[tokio::test]
async fn keys_that_are_not_accepted_end_it_at_once() {
    let collector = Collector::start().await;
    collector.always(Answer::Status(401));
    let desk = Desk::new(two_lines());
    let said = desk.replay(&collector, &[]).await;
    assert_eq!((said.code, collector.requests().len()), (Some(1), 1));
    assert!(
        said.err.contains("OTEL_EXPORTER_OTLP_HEADERS"),
        "{}",
        said.err
    );
}

const NO_RECEIVER: &str = "the endpoint's path or port is not that of an OTLP receiver";

/// Asserts that the replay stopped after this many requests, reported the cause, and left all spans
/// to be sent later.
async fn assert_misdirected(requests: u64, desk: &Desk, said: &Said, told: [&str; 2]) {
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(
        told.iter().all(|told| said.err.contains(told)),
        "{}",
        said.err
    );
    let report = said.json();
    assert_eq!(
        (&report["requests"], &report["refused"]),
        (&json!(requests), &json!([]))
    );
    assert_eq!(
        (&report["spans"]["not_sent"], &report["complete"]),
        (&json!(2), &json!(false))
    );
    let collector = Collector::start().await;
    desk.replay(&collector, &[]).await;
    assert_eq!(collector.spans().len(), 2);
}

#[tokio::test]
async fn an_endpoint_that_is_none_of_a_collector_ends_it_at_once() {
    for status in [404, 405, 415] {
        let collector = Collector::start().await;
        collector.always(Answer::Status(status));
        let desk = Desk::new(two_lines());
        let said = desk.replay(&collector, &["--json"]).await;
        assert_eq!(collector.requests().len(), 1, "{status}");
        assert_misdirected(1, &desk, &said, [NO_RECEIVER, &status.to_string()]).await;
    }
}

#[tokio::test]
async fn a_web_page_is_not_entered_in_the_ledger() {
    let collector = Collector::start().await;
    collector.always(Answer::WebPage);
    let desk = Desk::new(two_lines());
    let said = desk.replay(&collector, &["--json"]).await;
    assert_eq!(collector.requests().len(), 1);
    assert!(
        said.err.contains("text/html; charset=utf-8"),
        "{}",
        said.err
    );
    assert_misdirected(1, &desk, &said, [NO_RECEIVER, "200 OK"]).await;
}

#[tokio::test]
async fn replay_stops_if_the_endpoint_also_refuses_an_empty_request() {
    let collector = Collector::start().await;
    collector.always(Answer::Status(400));
    let desk = Desk::new(two_lines());
    let said = desk.replay(&collector, &["--json"]).await;
    // Both lines at once, each of them, and the empty request.
    assert_misdirected(4, &desk, &said, [NO_RECEIVER, "400 Bad Request"]).await;
}

#[tokio::test]
async fn an_endpoint_that_refuses_every_line_is_not_sent_all_of_them() {
    let collector = Collector::start().await;
    collector.always(Answer::Status(400));
    let lines = (0..100).map(|number| spilled(&[span(&number.to_string(), 10)]));
    let desk = Desk::new(lines.collect::<Vec<_>>().concat().join("\n"));
    let said = desk.replay(&collector, &[]).await;
    assert!(said.err.contains(NO_RECEIVER), "{}", said.err);
    assert_eq!(collector.requests().len(), 5);
}

#[tokio::test]
async fn an_endpoint_that_refuses_large_and_empty_requests_gets_each_line() {
    let collector = Collector::start().await;
    let lines = ["a", "b", "c"].map(|name| spilled(&[span(name, 1000)]));
    collector.always(Answer::RefuseBeyond(2000));
    let desk = Desk::new(lines.concat().join("\n"));
    let said = desk.replay(&collector, &[]).await;
    assert_eq!(
        (said.code, collector.spans().len()),
        (Some(0), 3),
        "{}",
        said.err
    );
}

#[tokio::test]
async fn a_warning_of_the_collector_is_logged_once() {
    let collector = Collector::start().await;
    collector.always(Answer::Reject(0));
    // Each fills a request.
    let spans = ["a", "b"].map(|name| spilled(&[span(name, 3_000_000)]));
    let desk = Desk::new(spans.concat().join("\n"));
    let said = desk.replay(&collector, &[]).await;
    assert_eq!((said.code, collector.requests().len()), (Some(0), 2));
    assert_eq!(said.err.matches("over quota").count(), 1, "{}", said.err);
    let endpoint = format!("{}/v1/traces", collector.endpoint);
    assert!(said.err.contains(&endpoint), "{}", said.err);
}

#[tokio::test]
async fn spans_accepted_before_a_failure_are_in_its_report() {
    let collector = Collector::start().await;
    collector.script(&[Answer::Reject(1), Answer::Status(401)]);
    // Each fills a request.
    let spans = ["a", "b"].map(|name| spilled(&[span(name, 3_000_000)]));
    let desk = Desk::new(spans.concat().join("\n"));
    let said = desk.replay(&collector, &[]).await;
    let expected = format!(
        "error: not all spans were sent to {}/v1/traces: the ledger records the accepted requests",
        collector.endpoint
    );
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains(&expected), "{}", said.err);
}

#[tokio::test]
async fn a_redirect_is_reported_with_its_target() {
    let collector = Collector::start().await;
    let desk = Desk::new(two_lines());
    let endpoint = format!("{}/moved", collector.endpoint);
    let arguments = ["log", "--json", "--endpoint", &endpoint];
    let said = desk.run(&arguments, &[], b"").await;
    let location = "307 Temporary Redirect, a redirect to https://collector.example/v1/traces";
    assert_misdirected(1, &desk, &said, ["redirects are not followed", location]).await;
}

#[tokio::test]
async fn an_endpoint_with_the_path_of_a_signal_is_told_with_the_path_that_comes_of_it() {
    let collector = Collector::start().await;
    let endpoint = format!("{}/v1/traces", collector.endpoint);
    let desk = Desk::new(two_lines());
    let arguments = ["log", "--json", "--endpoint", &endpoint];
    let said = desk.run(&arguments, &[], b"").await;
    assert_eq!(collector.requests().len(), 1);
    assert!(
        said.err.contains("a base URL without /v1/traces"),
        "{}",
        said.err
    );
    assert_misdirected(1, &desk, &said, [NO_RECEIVER, "/v1/traces/v1/traces"]).await;
}

#[tokio::test]
async fn grpc_to_a_port_for_http_ends_it_at_once() {
    let collector = Collector::start().await;
    let desk = Desk::new(two_lines());
    let environment = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    let arguments = ["log", "--json", "--endpoint", &collector.endpoint];
    let said = desk.run(&arguments, &environment, b"").await;
    assert_eq!(collector.requests().len(), 1);
    assert_misdirected(1, &desk, &said, ["UNIMPLEMENTED", NO_RECEIVER]).await;
}

#[tokio::test]
async fn http_to_a_port_for_grpc_ends_it_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let store = SpanStore::default();
    tokio::spawn(serve_grpc(listener, store.clone(), std::future::pending()));
    let desk = Desk::new(two_lines());
    let arguments = ["log", "--json", "--endpoint", &endpoint];
    let said = desk.run(&arguments, &[], b"").await;
    assert_misdirected(
        1,
        &desk,
        &said,
        ["the response is not HTTP/1.1", NO_RECEIVER],
    )
    .await;
}

#[tokio::test]
async fn after_a_collector_that_is_down_everything_is_there_to_be_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let desk = Desk::new(two_lines());
    let said = desk.run(&["log", "--endpoint", &endpoint], &[], b"").await;
    assert_eq!(said.code, Some(1));
    let expected = format!("error: no spans were sent to {endpoint}/v1/traces\n");
    let is_told = said.err.contains(&expected) && said.err.contains("Connection refused");
    assert!(is_told && !said.err.contains("ledger"), "{}", said.err);
    for told in ["sent          0 spans", "not sent      2 spans"] {
        assert!(said.out.contains(told), "{}", said.out);
    }

    let collector = Collector::start().await;
    desk.replay(&collector, &[]).await;
    assert_eq!(collector.spans().len(), 2);
}

#[tokio::test]
async fn the_environment_says_how_as_for_a_service() {
    let collector = Collector::start().await;
    let desk = Desk::new(two_lines());
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret value"),
        // A service that does not export is one that spans are sent on for.
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
    ];
    let said = desk.run(&["log"], &environment, b"").await;
    assert_eq!(
        (said.code, collector.spans().len()),
        (Some(0), 2),
        "{}",
        said.err
    );
    assert_eq!(collector.headers()[0]["x-key"], "secret value");
}

#[tokio::test]
async fn an_environment_that_makes_no_sense_is_told_before_anything_is_sent() {
    let collector = Collector::start().await;
    let desk = Desk::new(two_lines());
    let environment = [("OTEL_EXPORTER_OTLP_HEADERS", "no header")];
    let arguments = ["log", "--endpoint", &collector.endpoint];
    let said = desk.run(&arguments, &environment, b"").await;
    assert!(
        said.err.contains("OTEL_EXPORTER_OTLP_HEADERS"),
        "{}",
        said.err
    );
    assert_eq!((said.code, collector.requests().len()), (Some(4), 0));
}

#[tokio::test]
async fn each_setting_that_makes_no_sense_is_an_error_of_its_own() {
    let desk = Desk::new(two_lines());
    let environment = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "no header"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
    ];
    for endpoint in ["ftp://collector", ""] {
        let arguments = ["log", "--endpoint", endpoint];
        let said = desk.run(&arguments, &environment, b"").await;
        assert_eq!((said.code, said.out.as_str()), (Some(4), ""));
        let lines: Vec<&str> = said.err.lines().collect();
        assert_eq!(lines.len(), 3, "{}", said.err);
        for name in [
            "--endpoint",
            "OTEL_EXPORTER_OTLP_HEADERS",
            "OTEL_EXPORTER_OTLP_TIMEOUT",
        ] {
            let beginning = format!("error: {name}: expected ");
            let is_told = lines.iter().any(|line| line.starts_with(&beginning));
            assert!(is_told, "{name}: {}", said.err);
        }
        for consequence in ["left out", "the default", "exported"] {
            assert!(!said.err.contains(consequence), "{}", said.err);
        }
    }
}

#[tokio::test]
async fn a_secret_with_headers_is_not_read_and_that_is_told() {
    let collector = Collector::start().await;
    let desk = Desk::new(two_lines());
    let arguments = ["log", "--endpoint", &collector.endpoint];
    let secret = ("OTEL_EXPORTER_OTLP_HEADERS_SECRET", "arn:aws:x");
    let said = desk.run(&arguments, &[secret], b"").await;
    assert_eq!((said.code, collector.requests().len()), (Some(4), 0));
    let told = "error: OTEL_EXPORTER_OTLP_HEADERS_SECRET is not read here: set OTEL_EXPORTER_OTLP_HEADERS to ";
    assert!(said.err.starts_with(told), "{}", said.err);
    assert_eq!(said.err.lines().count(), 1, "{}", said.err);

    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a");
    let said = desk.run(&arguments, &[secret, headers], b"").await;
    assert_eq!((said.code, collector.spans().len()), (Some(0), 2));
    let told = "warning: OTEL_EXPORTER_OTLP_HEADERS_SECRET is not read here";
    assert!(said.err.starts_with(told), "{}", said.err);
    assert_eq!(collector.headers()[0]["x-key"], "a");
}

#[tokio::test]
async fn spans_are_sent_over_grpc() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let store = SpanStore::default();
    tokio::spawn(serve_grpc(listener, store.clone(), std::future::pending()));
    let desk = Desk::new(two_lines());
    let environment = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    let said = desk
        .run(&["log", "--endpoint", &endpoint], &environment, b"")
        .await;
    assert_eq!(
        (said.code, store.totals().received),
        (Some(0), 2),
        "{}",
        said.err
    );
}
