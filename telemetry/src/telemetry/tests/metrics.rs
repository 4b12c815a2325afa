//! Metrics over a real socket.

use baton_test_support::PointValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric};

use super::*;
use crate::buffer::Selection;

const WITH_METRICS: (&str, &str) = ("OTEL_METRICS_EXPORTER", "otlp");
const WITHOUT_TRACES: (&str, &str) = ("OTEL_TRACES_EXPORTER", "none");

/// Returns the sum of a counter's exported data points.
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
async fn metrics_are_exported_with_the_spans() {
    let collector = start_collector(&[]).await;
    let telemetry = telemetry(&collector, &[WITH_METRICS]).await;
    let counter = telemetry
        .meter("test", "1.2.3")
        .u64_counter("orders")
        .build();
    counter.add(2, &[]);
    counter.add(3, &[]);
    end_span(&telemetry, "span");
    flush(&telemetry).await;
    assert_eq!(total(&exported_metrics(&collector), "orders"), 5);
    assert_eq!(exported_names(&collector), ["span"]);
    let accepted = resource_metrics(&collector).remove(0);
    let resource = accepted.resource.unwrap();
    let mut keys = resource.attributes.iter();
    assert!(keys.any(|attribute| attribute.key == SERVICE_NAME));
    let scopes = accepted.scope_metrics.iter();
    let mut scopes = scopes.map(|scope| scope.scope.clone().unwrap());
    assert!(scopes.any(|scope| (&*scope.name, &*scope.version) == ("test", "1.2.3")));
}

#[tokio::test]
async fn metrics_with_a_retryable_status_are_sent_again_before_new_ones() {
    let collector = start_collector(&[]).await;
    script_metrics(&collector, &[CollectorResponse::Status(503); 2]);
    let telemetry = telemetry(&collector, &[WITH_METRICS, WITHOUT_TRACES]).await;
    let counter = telemetry
        .meter("test", "1.2.3")
        .u64_counter("orders")
        .build();
    counter.add(2, &[]);
    flush(&telemetry).await;
    assert_eq!(exported_metrics(&collector), []);
    counter.add(3, &[]);
    flush(&telemetry).await;
    assert_eq!(total(&exported_metrics(&collector)[..1], "orders"), 2);
    assert_eq!(total(&exported_metrics(&collector), "orders"), 5);
}

#[tokio::test]
async fn no_request_is_sent_without_measurements() {
    let collector = start_collector(&[]).await;
    let telemetry = telemetry(&collector, &[WITH_METRICS, WITHOUT_TRACES]).await;
    let counter = telemetry
        .meter("test", "1.2.3")
        .u64_counter("orders")
        .build();
    flush(&telemetry).await;
    assert_eq!(metrics_requests(&collector), 0);
    counter.add(1, &[]);
    for _ in 0..3 {
        flush(&telemetry).await;
    }
    assert_eq!(metrics_requests(&collector), 1);
}

/// Returns the sum of a counter's exported data points with this outcome.
fn outcome_total(collector: &TestCollector, name: &str, outcome: &str) -> i64 {
    let mut metrics = exported_metrics(collector);
    for metric in &mut metrics {
        if let Some(Data::Sum(sum)) = &mut metric.data {
            sum.data_points.retain(|point| {
                let value = point.attributes.iter().find_map(|attribute| {
                    let is_outcome = attribute.key == "baton.telemetry.outcome";
                    is_outcome.then(|| format!("{:?}", attribute.value))
                });
                value.is_some_and(|value| value.contains(&format!("{outcome:?}")))
            });
        }
    }
    total(&metrics, name)
}

#[tokio::test]
async fn the_span_counts_of_a_flush_are_exported_by_the_next_one() {
    let collector = start_collector(&[]).await;
    let settings = [WITH_METRICS, ("OTEL_BSP_MAX_QUEUE_SIZE", "2")];
    let telemetry = telemetry(&collector, &settings).await;
    for name in ["first", "second", "dropped"] {
        end_span(&telemetry, name);
    }
    flush(&telemetry).await;
    let spans = |name| outcome_total(&collector, "baton.telemetry.spans", name);
    assert_eq!((spans("exported"), spans("dropped")), (0, 1));
    // A request is not sent only because the spans have been exported.
    flush(&telemetry).await;
    assert_eq!(metrics_requests(&collector), 1);
    end_span(&telemetry, "third");
    flush(&telemetry).await;
    assert_eq!((spans("exported"), spans("dropped")), (2, 1));
    let pending = exported_metrics(&collector)
        .into_iter()
        .rfind(|metric| metric.name == "baton.telemetry.spans.pending");
    let Some(Data::Gauge(gauge)) = pending.unwrap().data else {
        panic!("a gauge");
    };
    assert_eq!(gauge.data_points[0].value, Some(Value::AsInt(1)));
}

#[tokio::test]
async fn rejected_data_points_are_counted_and_do_not_block_later_ones() {
    let collector = start_collector(&[]).await;
    script_metrics(
        &collector,
        &[
            CollectorResponse::Status(400),
            CollectorResponse::PartialSuccess(1),
        ],
    );
    let telemetry = telemetry(&collector, &[WITH_METRICS, WITHOUT_TRACES]).await;
    let counter = telemetry
        .meter("test", "1.2.3")
        .u64_counter("orders")
        .build();
    for _ in 0..3 {
        counter.add(1, &[]);
        flush(&telemetry).await;
    }
    let reported = outcome_total(&collector, "baton.telemetry.metric_points", "dropped");
    assert_eq!((reported, dropped(&telemetry)), (2, 2));
}

/// Returns the exported values of the data points of a metric with this signal.
fn signal_values(collector: &TestCollector, name: &str, signal: &str) -> Vec<i64> {
    let metrics = collector.metrics().unwrap().into_iter();
    let named = metrics.filter(|metric| metric.name == name);
    let points = named.flat_map(|metric| metric.points);
    points
        .filter(|point| point.attributes["baton.telemetry.signal"] == signal.into())
        .map(|point| match point.value {
            PointValue::Int(value) => value,
            other => panic!("{other:?}"),
        })
        .collect()
}

const OPEN: &str = "baton.telemetry.circuit_breaker.open";
const OPENINGS: &str = "baton.telemetry.circuit_breaker.openings";

/// Flushes until no span is pending.
async fn flush_until_exported(telemetry: &Telemetry) {
    let limit = generous_deadline();
    while flush(telemetry).await.pending > 0 {
        assert!(Instant::now() < limit);
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_open_circuit_breaker_of_another_signal_is_reported_until_it_has_closed() {
    let collector = start_collector(&[CollectorResponse::RetryAfter(1)]).await;
    script_metrics(&collector, &[]);
    let telemetry = telemetry(&collector, &[WITH_METRICS]).await;
    end_span(&telemetry, "span");
    flush(&telemetry).await;
    assert_eq!(signal_values(&collector, OPEN, "traces"), [0]);
    flush(&telemetry).await;
    assert_eq!(signal_values(&collector, OPEN, "traces"), [0, 1]);
    assert_eq!(signal_values(&collector, OPENINGS, "traces"), [1]);
    flush_until_exported(&telemetry).await;
    // The first of these flushes reports that the breaker has closed.
    for _ in 0..3 {
        flush(&telemetry).await;
    }
    let mut states = signal_values(&collector, OPEN, "traces");
    assert_eq!(states.iter().rev().take(2).collect::<Vec<_>>(), [&0, &1]);
    states.dedup();
    assert_eq!(states, [0, 1, 0]);
    assert_eq!(signal_values(&collector, OPENINGS, "traces"), [1]);
    assert!(signal_values(&collector, OPEN, "logs").is_empty());
}

#[tokio::test]
async fn the_openings_of_all_circuit_breakers_arrive_after_an_outage() {
    let collector = start_collector(&[CollectorResponse::RetryAfter(1)]).await;
    script_metrics(&collector, &[CollectorResponse::RetryAfter(1)]);
    let telemetry = telemetry(&collector, &[WITH_METRICS]).await;
    end_span(&telemetry, "span");
    for _ in 0..3 {
        flush(&telemetry).await;
    }
    assert_eq!(exported_metrics(&collector), []);
    flush_until_exported(&telemetry).await;
    end_span(&telemetry, "later");
    flush(&telemetry).await;
    for signal in ["traces", "metrics"] {
        assert_eq!(signal_values(&collector, OPENINGS, signal), [1], "{signal}");
    }
}

#[tokio::test]
async fn an_opening_is_written_for_an_alarm_that_needs_no_collector() {
    let collector = start_collector(&[]).await;
    script_metrics(&collector, &[CollectorResponse::RetryAfter(60)]);
    let output = Output::captured();
    let telemetry = telemetry_with_output(&collector, &[WITH_METRICS], output.clone()).await;
    end_span(&telemetry, "span");
    for _ in 0..3 {
        flush(&telemetry).await;
    }
    let lines = output.lines();
    let [line] = &lines[..] else {
        panic!("{lines:?}");
    };
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["CircuitBreakerOpenings"], 1);
    assert_eq!(line["SpansPending"], 0);
}

/// Returns a deadline that is long enough for a machine that runs other tests as well.
fn generous_deadline() -> Instant {
    Instant::now() + BUDGET * 40
}

fn dropped(telemetry: &Telemetry) -> u64 {
    telemetry.inner.pipeline.metrics.as_ref().unwrap().dropped()
}

#[tokio::test]
async fn data_points_beyond_the_buffer_limit_are_dropped_and_counted_if_the_export_fails() {
    let collector = start_collector(&[]).await;
    script_metrics(&collector, &[CollectorResponse::Status(503); 2]);
    let bound = ("BATON_METRIC_BUFFER_BYTES", "1");
    let telemetry = telemetry(&collector, &[WITH_METRICS, WITHOUT_TRACES, bound]).await;
    let counter = telemetry
        .meter("test", "1.2.3")
        .u64_counter("orders")
        .build();
    counter.add(1, &[]);
    flush(&telemetry).await;
    assert_eq!((metrics_requests(&collector), dropped(&telemetry)), (2, 1));
    counter.add(2, &[]);
    flush(&telemetry).await;
    assert_eq!(total(&exported_metrics(&collector), "orders"), 2);
    assert_eq!(dropped(&telemetry), 1);
}

#[tokio::test]
async fn data_points_beyond_the_buffer_limit_are_exported_in_requests_below_the_size_limit() {
    let collector = start_collector(&[]).await;
    let bound = ("BATON_METRIC_BUFFER_BYTES", "1");
    let telemetry = telemetry(&collector, &[WITH_METRICS, WITHOUT_TRACES, bound]).await;
    for name in ["orders", "returns", "complaints"] {
        let counter = telemetry.meter("test", "1.2.3").u64_counter(name).build();
        for customer in 0..1999 {
            let filler = format!("{customer:1000}");
            counter.add(1, &[opentelemetry::KeyValue::new("customer", filler)]);
        }
    }
    telemetry.flush(generous_deadline()).await;
    let metrics = exported_metrics(&collector);
    for name in ["orders", "returns", "complaints"] {
        assert_eq!(total(&metrics, name), 1999);
    }
    assert_eq!(dropped(&telemetry), 0);
    let lengths = header_values(&collector, "content-length").into_iter();
    let lengths: Vec<usize> = lengths.map(|length| length.parse().unwrap()).collect();
    assert!(
        lengths.len() > 1 && lengths.iter().all(|length| *length < 4 * 1024 * 1024),
        "{lengths:?}"
    );
}

/// Flushes a group, and another one while the first one's metrics are in flight. Returns the
/// duration of each flush.
async fn flush_two_groups(telemetry: &Telemetry) -> (Duration, Duration) {
    let counter = telemetry
        .meter("test", "1.2.3")
        .u64_counter("orders")
        .build();
    let flush = async |measured| {
        let group = telemetry.flush_group();
        let context = group.attach(&opentelemetry::Context::new());
        counter.add(measured, &[]);
        let began = Instant::now();
        telemetry
            .flush_context_group(&context, began + BUDGET)
            .await;
        began.elapsed()
    };
    // The first one collects as soon as it is polled, and then waits for the collector.
    tokio::join!(flush(1), flush(10))
}

#[tokio::test]
async fn the_metrics_of_a_group_are_exported_by_the_flush_in_progress() {
    let collector = start_collector(&[]).await;
    let telemetry = telemetry(&collector, &[WITH_METRICS, WITHOUT_TRACES]).await;
    flush_two_groups(&telemetry).await;
    assert_eq!(total(&exported_metrics(&collector), "orders"), 11);
    assert_eq!(metrics_requests(&collector), 2);
    // All metrics have been exported, so no request is sent.
    flush(&telemetry).await;
    assert_eq!(metrics_requests(&collector), 2);
}

#[tokio::test]
async fn a_group_does_not_wait_for_a_hanging_metrics_export_of_another_group() {
    let collector = start_collector(&[]).await;
    script_metrics(&collector, &[CollectorResponse::Hang]);
    let telemetry = telemetry(&collector, &[WITH_METRICS, WITHOUT_TRACES]).await;
    let (first, second) = flush_two_groups(&telemetry).await;
    assert!(
        first >= BUDGET && second < BUDGET / 2,
        "{first:?} {second:?}"
    );
    assert_eq!(metrics_requests(&collector), 1);
    flush(&telemetry).await;
    assert_eq!(total(&exported_metrics(&collector), "orders"), 11);
}

#[tokio::test]
async fn a_collector_that_has_just_failed_is_not_contacted_for_another_group() {
    let collector = start_collector(&[]).await;
    script_metrics(&collector, &[CollectorResponse::Status(503); 2]);
    let telemetry = telemetry(&collector, &[WITH_METRICS, WITHOUT_TRACES]).await;
    flush_two_groups(&telemetry).await;
    assert_eq!(metrics_requests(&collector), 2);
    flush(&telemetry).await;
    assert_eq!(total(&exported_metrics(&collector), "orders"), 11);
}

#[tokio::test]
async fn a_group_that_joins_before_the_collection_causes_no_second_one() {
    let collector = start_collector(&[]).await;
    script_metrics(&collector, &[CollectorResponse::Status(503); 2]);
    let telemetry = telemetry(&collector, &[WITH_METRICS, WITHOUT_TRACES]).await;
    let meter = telemetry.meter("test", "1.2.3");
    // Each collection exports this sum again.
    meter.i64_up_down_counter("open").build().add(1, &[]);
    flush(&telemetry).await;
    // The failed request is sent first, and the second group joins during that time.
    flush_two_groups(&telemetry).await;
    assert_eq!(total(&exported_metrics(&collector), "orders"), 11);
    assert_eq!(metrics_requests(&collector), 4);
}

/// Checks that every measurement has been exported once the last flush of a round has returned, and
/// that no count is exported twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn flushes_of_groups_on_several_threads_export_all_metrics() {
    let collector = start_collector(&[]).await;
    let telemetry = telemetry(&collector, &[WITH_METRICS]).await;
    let counter = telemetry
        .meter("test", "1.2.3")
        .u64_counter("orders")
        .build();
    for round in 1..=25 {
        let flushes = (0..8).map(|_| {
            let (telemetry, counter) = (telemetry.clone(), counter.clone());
            tokio::spawn(async move {
                let group = telemetry.flush_group();
                let context = group.attach(&opentelemetry::Context::new());
                let tracer = telemetry.tracer("test", "1.2.3");
                tracer.start_with_context("span", &context).end();
                counter.add(1, &[]);
                telemetry
                    .flush_context_group(&context, generous_deadline())
                    .await;
            })
        });
        for flush in flushes.collect::<Vec<_>>() {
            flush.await.unwrap();
        }
        assert_eq!(total(&exported_metrics(&collector), "orders"), 8 * round);
    }
    end_span(&telemetry, "last");
    telemetry
        .inner
        .pipeline
        .export_metrics(Selection::All, generous_deadline())
        .await;
    assert_eq!(
        outcome_total(&collector, "baton.telemetry.spans", "exported"),
        200
    );
}

#[tokio::test]
async fn cumulative_sums_are_collected_again_instead_of_buffered() {
    let collector = start_collector(&[]).await;
    script_metrics(&collector, &[CollectorResponse::Status(503); 2]);
    let temporality = (
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        "cumulative",
    );
    let telemetry = telemetry(&collector, &[WITH_METRICS, WITHOUT_TRACES, temporality]).await;
    let counter = telemetry
        .meter("test", "1.2.3")
        .u64_counter("orders")
        .build();
    for _ in 0..2 {
        counter.add(3, &[]);
        flush(&telemetry).await;
    }
    let [metric] = &exported_metrics(&collector)[..] else {
        panic!("{:?}", exported_metrics(&collector));
    };
    let Some(Data::Sum(sum)) = &metric.data else {
        panic!("{metric:?}");
    };
    let cumulative = AggregationTemporality::Cumulative;
    assert_eq!(sum.aggregation_temporality(), cumulative);
    assert_eq!(sum.data_points[0].value, Some(Value::AsInt(6)));
}
