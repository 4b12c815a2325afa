//! Collectors that do not take everything, or nothing.

use baton_local::otlp::{SpanStore, serve_grpc};
use tokio::net::TcpListener;

use crate::support::{Answer, Collector, Desk, span, spilled};

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

#[tokio::test]
async fn after_a_collector_that_is_down_everything_is_there_to_be_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let desk = Desk::new(two_lines());
    let said = desk.run(&["log", "--endpoint", &endpoint], &[], b"").await;
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("the collector does not take the spans"),
        "{}",
        said.err
    );
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
