use std::collections::HashSet;

use axum::Router;
use axum::http::StatusCode;
use baton_local::AllowedHosts;
use baton_local::otlp::{self, ReceiverConfig, SpanKind, SpanStore};
use tokio::net::TcpListener;

use crate::support::{FakeService, command, run};

#[tokio::test]
async fn each_request_has_a_root_span_whose_context_it_carries() {
    let store = SpanStore::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let config = ReceiverConfig {
        store: store.clone(),
        allowed_hosts: AllowedHosts::default(),
    };
    let receiver = tokio::spawn(otlp::serve_http(listener, config, std::future::pending()));
    let service = FakeService::start().await;
    let mut command = command(&service.url, &["--spans", "--rate=100", "--duration=500ms"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    let run = run(command).await;
    receiver.abort();
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert_eq!(run.report["spans"]["exported"], 50, "{}", run.report);
    let spans = store.spans();
    assert_eq!(spans.len(), 50);
    for span in &spans {
        assert_eq!((span.kind, &*span.name), (SpanKind::Client, "POST"));
        assert_eq!(span.parent_span_id, None);
        assert_eq!(span.integer("http.response.status_code"), Some(202));
    }
    let contexts: HashSet<_> = spans
        .iter()
        .map(|span| format!("00-{}-{}-03", span.trace_id, span.span_id))
        .collect();
    let received = service.received();
    let sent = received
        .iter()
        .map(|request| request.headers["traceparent"].to_str().unwrap());
    assert_eq!(sent.map(str::to_owned).collect::<HashSet<_>>(), contexts);
}

#[tokio::test]
async fn spans_that_the_collector_does_not_accept_are_lost_and_do_not_fail_the_run() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(async || StatusCode::SERVICE_UNAVAILABLE);
    let collector = tokio::spawn(async move { axum::serve(listener, router).await });
    let service = FakeService::start().await;
    let mut command = command(&service.url, &["--spans", "--rate=100", "--duration=200ms"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    let run = run(command).await;
    collector.abort();
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let spans = &run.report["spans"];
    assert_eq!(
        (&spans["exported"], &spans["lost"]),
        (&0.into(), &20.into())
    );
    let error = spans["error"].as_str().unwrap();
    assert!(error.contains("503"), "{error}");
}
