//! Metrics over a real socket.

use super::*;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric};

const WITH_METRICS: (&str, &str) = ("OTEL_METRICS_EXPORTER", "otlp");
const WITHOUT_TRACES: (&str, &str) = ("OTEL_TRACES_EXPORTER", "none");

/// The sum of all data points that arrived of a counter.
fn total(metrics: &[Metric], name: &str) -> i64 {
    let named = metrics.iter().filter(|metric| metric.name == name);
    let points = named.flat_map(|metric| match metric.data.as_ref().unwrap() {
        Data::Sum(sum) => {
            let delta = AggregationTemporality::Delta;
            assert_eq!(sum.aggregation_temporality(), delta);
            &sum.data_points
        }
        other => panic!("{other:?}"),
    });
    points
        .map(|point| match point.value {
            Some(Value::AsInt(value)) => value,
            other => panic!("{other:?}"),
        })
        .sum()
}

#[tokio::test]
async fn what_was_counted_goes_with_the_spans() {
    let sink = Sink::start(&[]).await;
    let telemetry = telemetry(&sink, &[WITH_METRICS]).await;
    let counter = telemetry
        .meter("test", "1.2.3")
        .u64_counter("orders")
        .build();
    counter.add(2, &[]);
    counter.add(3, &[]);
    end_span(&telemetry, "span");
    flush(&telemetry).await;
    assert_eq!(total(&sink.metrics(), "orders"), 5);
    assert_eq!(sink.span_names(), ["span"]);
    let accepted = sink.accepted_metrics().remove(0);
    let resource = accepted.resource.unwrap();
    let mut keys = resource.attributes.iter();
    assert!(keys.any(|attribute| attribute.key == SERVICE_NAME));
    let scope = accepted.scope_metrics[0].scope.clone().unwrap();
    assert_eq!((&*scope.name, &*scope.version), ("test", "1.2.3"));
}

#[tokio::test]
async fn what_an_overloaded_collector_refused_comes_once_and_first() {
    let sink = Sink::start(&[]).await;
    sink.script_metrics(&[Answer::Status(503); 2]);
    let telemetry = telemetry(&sink, &[WITH_METRICS, WITHOUT_TRACES]).await;
    let counter = telemetry
        .meter("test", "1.2.3")
        .u64_counter("orders")
        .build();
    counter.add(2, &[]);
    flush(&telemetry).await;
    assert_eq!(sink.metrics(), []);
    counter.add(3, &[]);
    flush(&telemetry).await;
    assert_eq!(total(&sink.metrics()[..1], "orders"), 2);
    assert_eq!(total(&sink.metrics(), "orders"), 5);
}

#[tokio::test]
async fn without_anything_recorded_there_is_no_request() {
    let sink = Sink::start(&[]).await;
    let telemetry = telemetry(&sink, &[WITH_METRICS, WITHOUT_TRACES]).await;
    let counter = telemetry
        .meter("test", "1.2.3")
        .u64_counter("orders")
        .build();
    flush(&telemetry).await;
    assert_eq!(sink.metrics_requests(), 0);
    counter.add(1, &[]);
    for _ in 0..3 {
        flush(&telemetry).await;
    }
    assert_eq!(sink.metrics_requests(), 1);
}
