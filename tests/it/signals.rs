//! Traces, metrics and logs of both services in one run.

use std::collections::BTreeSet;

use baton_test_support::{
    AggregationTemporality, AttributeValue, CollectorResponse, LogRecord, Metric, Resource, Span,
    TestCollector,
};

use crate::support::eventually;
use crate::support::producer::StandaloneProducer;
use crate::support::stack::Stack;

/// Service names.
const FUNCTION: &str = "onboarding-lambda";
const PRODUCER: &str = "onboarding-api";
/// Log message of the function about each message that it has handled.
const HANDLED: &str = "customer onboarded";

/// Metrics that the function sends at least.
const FUNCTION_METRICS: [&str; 7] = [
    "baton.sqs.receive_count",
    "db.client.operation.duration",
    "faas.coldstarts",
    "faas.init_duration",
    "faas.invoke_duration",
    "messaging.client.consumed.messages",
    "messaging.process.duration",
];
/// Metrics that the producer sends at least.
const PRODUCER_METRICS: [&str; 3] = [
    "http.server.request.duration",
    "messaging.client.operation.duration",
    "messaging.client.sent.messages",
];

fn has_service_name(resource: &Resource, service: &str) -> bool {
    resource.attributes.get("service.name") == Some(&AttributeValue::from(service))
}

/// Returns the span with this name in a trace.
fn span<'a>(spans: &'a [Span], trace_id: &str, name: &str) -> Option<&'a Span> {
    let mut trace = spans.iter().filter(|span| span.trace_id == trace_id);
    trace.find(|span| span.name == name)
}

fn names(metrics: &[Metric], service: &str) -> BTreeSet<String> {
    let own = metrics
        .iter()
        .filter(|metric| has_service_name(&metric.resource, service));
    own.map(|metric| metric.name.clone()).collect()
}

fn lines<'a>(logs: &'a [LogRecord], service: &str, text: &str) -> Vec<&'a LogRecord> {
    let is_line = |log: &&LogRecord| {
        has_service_name(&log.resource, service)
            && log.body.as_ref() == Some(&AttributeValue::from(text))
    };
    logs.iter().filter(is_line).collect()
}

#[tokio::test]
async fn all_three_signals_of_both_services_arrive_and_their_ids_match() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let endpoint = format!("OTEL_EXPORTER_OTLP_ENDPOINT={}", collector.endpoint());
    let options = ["--env", &endpoint, "--env", "OTEL_LOGS_EXPORTER=otlp"];
    let stack = Stack::up(&options).await;
    let own = StandaloneProducer::start_with(
        &stack.endpoints,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint()),
            ("OTEL_SERVICE_NAME", PRODUCER),
            ("OTEL_LOGS_EXPORTER", "otlp"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
            ("RUST_LOG", "info"),
        ],
    );
    let producer = own.client().await;
    let accepted = producer.onboard_each(&["c-1", "c-2", "c-3"]).await;

    let logs = eventually("a line about each message", async || {
        let logs = collector.log_records().unwrap();
        (lines(&logs, FUNCTION, HANDLED).len() >= 3).then_some(logs)
    })
    .await;
    let handled = lines(&logs, FUNCTION, HANDLED);
    assert_eq!(handled.len(), 3);
    eventually("the producer's first line", async || {
        let logs = collector.log_records().unwrap();
        (!lines(&logs, PRODUCER, "listening").is_empty()).then_some(())
    })
    .await;

    let spans = eventually("the spans of both", async || {
        let spans = collector.spans().unwrap();
        let is_there = |name| {
            let mut messages = accepted.iter();
            messages.all(|message| span(&spans, &message.trace_id, name).is_some())
        };
        (is_there("send onboarding") && is_there("process onboarding")).then_some(spans)
    })
    .await;
    for message in &accepted {
        let sent = span(&spans, &message.trace_id, "send onboarding").unwrap();
        let processed = span(&spans, &message.trace_id, "process onboarding").unwrap();
        assert!(
            has_service_name(&sent.resource, PRODUCER)
                && has_service_name(&processed.resource, FUNCTION)
        );
        let mut lines = handled.iter();
        let line = lines.find(|log| log.trace_id.as_deref() == Some(&*message.trace_id));
        let line = line.expect("a line in the message's trace");
        assert_eq!(line.span_id.as_deref(), Some(&*processed.span_id));
    }

    for (service, expected) in [
        (FUNCTION, &FUNCTION_METRICS[..]),
        (PRODUCER, &PRODUCER_METRICS[..]),
    ] {
        for name in expected {
            let what = format!("the metric {name} of {service}");
            eventually(&what, async || {
                names(&collector.metrics().unwrap(), service)
                    .contains(*name)
                    .then_some(())
            })
            .await;
        }
    }
    let metrics = collector.metrics().unwrap();
    let cumulative = metrics
        .iter()
        .find(|metric| metric.temporality == Some(AggregationTemporality::Cumulative));
    assert_eq!(cumulative, None);
    stack.stop().await;
}
