//! Headers from a source. They are sent in every request, and fetched again when the collector
//! rejects them.

use super::*;
use crate::export::headers::tests::ScriptedSource;

const KEYS: [Result<&str, &str>; 2] = [
    Ok("authorization=Bearer ONE"),
    Ok("authorization=Bearer TWO"),
];

async fn telemetry_with_source(
    collector: &TestCollector,
    source: &ScriptedSource,
    more: &[(&'static str, &'static str)],
) -> Telemetry {
    let config = config(collector, more);
    let headers = source.fetched_headers();
    headers.fetch_first().await;
    let resource = resource::detect(&config, SERVICE, &|_| {}).await;
    Telemetry::new(
        &config,
        None,
        resource,
        config.log_buffer(),
        Some(&headers),
        Output::captured(),
    )
}

#[tokio::test]
async fn fetched_headers_take_precedence_and_other_headers_are_kept() {
    let collector = start_collector(&[]).await;
    let variable = (
        "OTEL_EXPORTER_OTLP_HEADERS",
        "authorization=Bearer OLD,x-scope=a",
    );
    let telemetry =
        telemetry_with_source(&collector, &ScriptedSource::new(&KEYS), &[variable]).await;
    end_span(&telemetry, "span");
    assert_eq!(flush(&telemetry).await.exported, 1);
    assert_eq!(header_values(&collector, "authorization"), ["Bearer ONE"]);
    assert_eq!(header_values(&collector, "x-scope"), ["a"]);
    assert!(!format!("{telemetry:?}").contains("ONE"));
}

#[tokio::test]
async fn a_rejected_key_is_fetched_again_and_the_request_retried_in_the_same_flush() {
    for status in [401, 403] {
        let collector = start_collector(&[CollectorResponse::Status(status)]).await;
        let source = ScriptedSource::new(&KEYS);
        let telemetry = telemetry_with_source(&collector, &source, &[]).await;
        end_span(&telemetry, "span");
        let report = flush(&telemetry).await;
        assert_eq!((report.exported, report.pending), (1, 0), "{status}");
        assert_eq!(
            header_values(&collector, "authorization"),
            ["Bearer ONE", "Bearer TWO"]
        );
        assert_eq!(source.fetches(), 2);
    }
}

#[tokio::test]
async fn spans_and_metrics_share_one_fetch() {
    let rejection = [CollectorResponse::Status(401)];
    let collector = start_collector(&rejection).await;
    let source = ScriptedSource::new(&KEYS);
    let telemetry =
        telemetry_with_source(&collector, &source, &[("OTEL_METRICS_EXPORTER", "otlp")]).await;
    end_span(&telemetry, "span");
    telemetry
        .meter("test", "1")
        .u64_counter("count")
        .build()
        .add(1, &[]);
    assert_eq!(flush(&telemetry).await.exported, 1);
    assert!(!exported_metrics(&collector).is_empty());
    assert_eq!(source.fetches(), 2);
}

#[tokio::test]
async fn a_key_that_is_still_rejected_is_not_fetched_with_every_flush() {
    let collector = start_collector(&[CollectorResponse::Status(401); 4]).await;
    let source = ScriptedSource::new(&KEYS);
    let telemetry = telemetry_with_source(&collector, &source, &[]).await;
    end_span(&telemetry, "span");
    for _ in 0..3 {
        assert_eq!(flush(&telemetry).await.exported, 0);
    }
    assert_eq!((source.fetches(), collector.request_count()), (2, 4));
}

#[tokio::test]
async fn spans_are_exported_even_if_no_headers_can_be_fetched() {
    let collector = start_collector(&[]).await;
    let telemetry =
        telemetry_with_source(&collector, &ScriptedSource::new(&[Err("denied")]), &[]).await;
    end_span(&telemetry, "span");
    assert_eq!(flush(&telemetry).await.exported, 1);
}
