//! The console exporter, which writes requests to stdout.

use super::*;

#[tokio::test]
async fn the_console_exporter_writes_each_request_as_a_line_of_otlp_json() {
    let collector = start_collector(&[]).await;
    let output = Output::captured();
    let console = ("OTEL_TRACES_EXPORTER", "console");
    let telemetry = telemetry_with_output(&collector, &[console], output.clone()).await;
    for name in ["first", "second"] {
        end_span(&telemetry, name);
        let report = flush(&telemetry).await;
        assert_eq!(report.pending, 0);
    }
    assert_eq!(flush(&telemetry).await.exported, 2);
    assert_eq!(span_names(&output), ["first", "second"]);
    assert!(collector.request_count() == 0);
}

/// Names of the spans in OTLP/JSON lines, excluding spill lines.
fn span_names(output: &Output) -> Vec<String> {
    let mut names = Vec::new();
    for line in output.lines() {
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        for resource in line["resourceSpans"].as_array().into_iter().flatten() {
            assert!(resource["resource"]["attributes"].is_array(), "{line}");
            for scope in resource["scopeSpans"].as_array().unwrap() {
                let spans = scope["spans"].as_array().unwrap().iter();
                names.extend(spans.map(|span| span["name"].as_str().unwrap().to_owned()));
            }
        }
    }
    names
}

const BOTH: (&str, &str) = ("OTEL_TRACES_EXPORTER", "otlp,console");

#[tokio::test]
async fn a_list_of_exporters_sends_each_span_to_both() {
    let collector = start_collector(&[]).await;
    let output = Output::captured();
    let telemetry = telemetry_with_output(&collector, &[BOTH], output.clone()).await;
    for name in ["first", "second"] {
        end_span(&telemetry, name);
        flush(&telemetry).await;
    }
    assert_eq!(exported_names(&collector), ["first", "second"]);
    assert_eq!(span_names(&output), ["first", "second"]);
}

#[tokio::test]
async fn the_console_exporter_writes_each_span_once_even_if_the_collector_fails() {
    // The collector rejects the request and then its first scope, and accepts the second one. Later
    // requests fail with 503, twice each, until the circuit breaker opens.
    let mut script = [400, 400, 200].map(CollectorResponse::Status).to_vec();
    script.extend([CollectorResponse::Status(503); 100]);
    let collector = start_collector(&script).await;
    let output = Output::captured();
    let telemetry = telemetry_with_output(&collector, &[BOTH], output.clone()).await;
    let mut names = vec!["one".to_owned(), "two".to_owned()];
    for name in ["one", "two"] {
        telemetry.tracer(name, "1.0.0").start(name).end();
    }
    flush(&telemetry).await;
    for name in ["a", "b", "c", "d", "e", "f"] {
        end_span(&telemetry, name);
        flush(&telemetry).await;
        names.push(name.to_owned());
    }
    assert_eq!(flush(&telemetry).await.pending, 6);
    assert_eq!(span_names(&output), names);
}

#[tokio::test]
async fn a_list_of_exporters_sends_metrics_to_both() {
    let collector = start_collector(&[]).await;
    let output = Output::captured();
    let both = ("OTEL_METRICS_EXPORTER", "otlp,console");
    let telemetry = telemetry_with_output(&collector, &[both], output.clone()).await;
    let meter = telemetry.meter("test", "1.0.0");
    meter.u64_counter("orders").build().add(1, &[]);
    flush(&telemetry).await;
    let is_orders = |line: &String| line.contains(r#""name":"orders""#);
    assert_eq!(
        output.lines().iter().filter(|line| is_orders(line)).count(),
        1
    );
    assert!(
        exported_metrics(&collector)
            .iter()
            .any(|metric| metric.name == "orders")
    );
}
