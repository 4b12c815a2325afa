//! Endpoints that reject every request. They open the circuit breaker, as a collector that is down
//! does.

use super::spill::{assert_balanced, spilling_telemetry};
use super::*;
use crate::logs::Capture;

const INVOCATIONS: usize = 40;
/// Number of consecutive requests that fail immediately before the circuit breaker opens.
const REQUESTS: usize = 5;

/// Flushes two scopes, as in an invocation, repeatedly. Returns the number of requests and the log.
async fn flush_invocations(response: CollectorResponse) -> (usize, String) {
    let collector = start_collector(&[response; 3 * INVOCATIONS]).await;
    let (telemetry, _output) = spilling_telemetry(&collector).await;
    let capture = Capture::start();
    for _ in 0..INVOCATIONS {
        for scope in ["runtime", "handler"] {
            telemetry.tracer(scope, "1.0.0").start("span").end();
        }
        assert_balanced(flush(&telemetry).await);
    }
    let report = flush(&telemetry).await;
    assert_eq!(report.spilled, 2 * INVOCATIONS as u64, "{response:?}");
    let lines = capture.lines();
    let log = lines.iter().map(|line| line.to_string() + "\n").collect();
    (collector.request_count(), log)
}

#[tokio::test]
async fn an_endpoint_that_rejects_every_request_opens_the_circuit_breaker() {
    let mut responses = [400, 404, 405, 413, 415, 500, 501]
        .map(CollectorResponse::Status)
        .to_vec();
    responses.extend([
        CollectorResponse::Raw(
            "HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n",
        ),
        CollectorResponse::Raw(
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 1\r\n\r\n<",
        ),
    ]);
    for response in responses {
        let (requests, log) = flush_invocations(response).await;
        assert!(requests <= REQUESTS, "{response:?}: {requests} requests");
        assert!(log.contains("circuit breaker open"), "{response:?}: {log}");
        assert!(
            log.contains("OTLP receiver") || log.contains("redirect"),
            "{response:?}: {log}"
        );
    }
}

#[tokio::test]
async fn a_rejected_payload_does_not_open_the_circuit_breaker() {
    // The collector rejects the request and then its first scope, and accepts the second one.
    let round = [400, 400, 200].map(CollectorResponse::Status);
    let collector = start_collector(&round.repeat(INVOCATIONS)).await;
    let (telemetry, _output) = spilling_telemetry(&collector).await;
    for round in 1..=INVOCATIONS {
        for scope in ["poison", "healthy"] {
            telemetry.tracer(scope, "1.0.0").start(scope).end();
        }
        let report = flush(&telemetry).await;
        assert_eq!(report.exported, round as u64);
        assert_eq!(report.spilled, round as u64);
    }
}

#[tokio::test]
async fn a_redirect_is_logged_with_its_target_and_without_its_query() {
    const RESPONSE: &str = "HTTP/1.1 307 X\r\nLocation: https://key@login.example/start?state=SECRET#x\r\ncontent-length: 0\r\n\r\n";
    let (_, log) = flush_invocations(CollectorResponse::Raw(RESPONSE)).await;
    assert!(log.contains("https://login.example/start"), "{log}");
    assert!(log.contains("307 Temporary Redirect"), "{log}");
    assert!(!log.contains("SECRET") && !log.contains("key@"), "{log}");
}

#[tokio::test]
async fn a_base_url_with_a_signal_path_is_reported_as_the_probable_cause() {
    let collector = start_collector(&[CollectorResponse::Status(404)]).await;
    let endpoint = format!("{}/v1/traces", collector.endpoint());
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_METRICS_EXPORTER", "none"),
    ];
    let (config, _) = TelemetryConfig::from_lookup(&|name| {
        let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
        Some((*value).to_owned())
    });
    let resource = resource::detect(&config, SERVICE, &|_| {}).await;
    let telemetry = Telemetry::new(&config, None, resource, None, None, Output::captured());
    let capture = Capture::start();
    end_span(&telemetry, "span");
    assert_eq!(flush(&telemetry).await.spilled, 1);
    let mut lines = capture.lines();
    lines.retain(|line| line["message"] == "spans not exported");
    let endpoint = format!("{endpoint}/v1/traces");
    assert_eq!(lines[0]["endpoint"], endpoint);
    let error = lines[0]["error"].as_str().unwrap();
    assert!(
        error.contains("404") && error.contains("a base URL without /v1/traces"),
        "{error}"
    );
}
