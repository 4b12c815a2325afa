//! The console exporter: what a collector would get is on stdout.

use super::*;

#[tokio::test]
async fn the_console_gets_each_request_as_a_line_of_otlp_json() {
    let sink = Sink::start(&[]).await;
    let output = Output::captured();
    let console = ("OTEL_TRACES_EXPORTER", "console");
    let telemetry = telemetry_with_output(&sink, &[console], output.clone()).await;
    for name in ["first", "second"] {
        end_span(&telemetry, name);
        let report = flush(&telemetry).await;
        assert_eq!(report.pending, 0);
    }
    assert_eq!(flush(&telemetry).await.exported, 2);
    let mut names = Vec::new();
    for line in output.lines() {
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let resource = &line["resourceSpans"][0];
        assert!(resource["resource"]["attributes"].is_array(), "{line}");
        let span = &resource["scopeSpans"][0]["spans"][0];
        names.push(span["name"].as_str().unwrap().to_owned());
    }
    assert_eq!(names, ["first", "second"]);
    assert!(sink.requests().is_empty());
}
