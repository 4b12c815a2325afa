//! Headers that a source has: in every request, and fetched again when the collector refuses them.

use super::*;
use crate::export::headers::tests::Scripted;

const KEYS: [Result<&str, &str>; 2] = [
    Ok("authorization=Bearer ONE"),
    Ok("authorization=Bearer TWO"),
];

async fn with_source(
    sink: &Sink,
    source: &Scripted,
    more: &[(&'static str, &'static str)],
) -> Telemetry {
    let config = config(sink, more);
    let headers = source.fetched_headers();
    headers.fetch_first().await;
    let resource = resource::detect(&config, SERVICE).await;
    Telemetry::new(
        &config,
        resource,
        config.log_buffer(),
        Some(&headers),
        Output::captured(),
    )
}

/// The values of this header in all requests, one after the other.
fn values(sink: &Sink, name: &str) -> Vec<String> {
    let requests = sink.requests().into_iter().flatten();
    requests
        .filter(|(known, _)| known == name)
        .map(|(_, value)| value)
        .collect()
}

#[tokio::test]
async fn fetched_headers_win_and_the_others_stay() {
    let sink = Sink::start(&[]).await;
    let variable = (
        "OTEL_EXPORTER_OTLP_HEADERS",
        "authorization=Bearer OLD,x-scope=a",
    );
    let telemetry = with_source(&sink, &Scripted::new(&KEYS), &[variable]).await;
    end_span(&telemetry, "span");
    assert_eq!(flush(&telemetry).await.exported, 1);
    assert_eq!(values(&sink, "authorization"), ["Bearer ONE"]);
    assert_eq!(values(&sink, "x-scope"), ["a"]);
    assert!(!format!("{telemetry:?}").contains("ONE"));
}

#[tokio::test]
async fn a_refused_key_is_fetched_again_and_the_request_sent_again_in_the_same_flush() {
    for status in [401, 403] {
        let sink = Sink::start(&[Answer::Status(status)]).await;
        let source = Scripted::new(&KEYS);
        let telemetry = with_source(&sink, &source, &[]).await;
        end_span(&telemetry, "span");
        let report = flush(&telemetry).await;
        assert_eq!((report.exported, report.pending), (1, 0), "{status}");
        assert_eq!(values(&sink, "authorization"), ["Bearer ONE", "Bearer TWO"]);
        assert_eq!(source.fetches(), 2);
    }
}

#[tokio::test]
async fn spans_and_metrics_share_one_fetch() {
    let refused = [Answer::Status(401)];
    let sink = Sink::start(&refused).await;
    sink.script_metrics(&refused);
    let source = Scripted::new(&KEYS);
    let telemetry = with_source(&sink, &source, &[("OTEL_METRICS_EXPORTER", "otlp")]).await;
    end_span(&telemetry, "span");
    telemetry
        .meter("test", "1")
        .u64_counter("count")
        .build()
        .add(1, &[]);
    assert_eq!(flush(&telemetry).await.exported, 1);
    assert!(!sink.metrics().is_empty());
    assert_eq!(source.fetches(), 2);
}

#[tokio::test]
async fn a_key_that_stays_refused_is_not_fetched_with_every_flush() {
    let sink = Sink::start(&[Answer::Status(401); 4]).await;
    let source = Scripted::new(&KEYS);
    let telemetry = with_source(&sink, &source, &[]).await;
    end_span(&telemetry, "span");
    for _ in 0..3 {
        assert_eq!(flush(&telemetry).await.exported, 0);
    }
    assert_eq!((source.fetches(), sink.requests().len()), (2, 4));
}

#[tokio::test]
async fn without_headers_exports_go_on() {
    let sink = Sink::start(&[]).await;
    let telemetry = with_source(&sink, &Scripted::new(&[Err("denied")]), &[]).await;
    end_span(&telemetry, "span");
    assert_eq!(flush(&telemetry).await.exported, 1);
}
