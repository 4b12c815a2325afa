//! Log records, which are exported in the same flushes as spans.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ScopeLogs};
use tracing::{debug, error, info, info_span, trace, warn};

use super::*;
use crate::buffer::Counts;
use crate::logs::{Capture, with_message_id, with_request_id};

const OTLP: (&str, &str) = ("OTEL_LOGS_EXPORTER", "otlp");

/// Returns telemetry that exports log records, and a capture whose subscriber creates them.
async fn telemetry_with_logs(
    collector: &TestCollector,
    more: &[(&'static str, &'static str)],
) -> (Telemetry, Capture) {
    let telemetry = telemetry(collector, &[&[OTLP], more].concat()).await;
    let buffer = telemetry
        .inner
        .pipeline
        .logs
        .as_ref()
        .unwrap()
        .buffer
        .clone();
    let capture = Capture::with_records(buffer);
    (telemetry, capture)
}

fn scopes(collector: &TestCollector) -> Vec<ScopeLogs> {
    let resources = resource_logs(collector);
    resources
        .into_iter()
        .flat_map(|resource| resource.scope_logs)
        .collect()
}

fn records(collector: &TestCollector) -> Vec<LogRecord> {
    let scopes = scopes(collector);
    scopes
        .into_iter()
        .flat_map(|scope| scope.log_records)
        .collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.unwrap().value.unwrap() {
        any_value::Value::StringValue(text) => text,
        other => panic!("{other:?}"),
    }
}

fn bodies(collector: &TestCollector) -> Vec<String> {
    let records = records(collector).into_iter();
    records.map(|record| text(record.body)).collect()
}

fn attribute(record: &LogRecord, key: &str) -> Option<any_value::Value> {
    let mut found = record.attributes.iter().filter(|entry| entry.key == key);
    let KeyValue { value, .. } = found.next()?;
    assert!(found.next().is_none(), "{key} is there twice");
    value.clone()?.value
}

fn counts(telemetry: &Telemetry) -> Counts {
    telemetry
        .inner
        .pipeline
        .logs
        .as_ref()
        .unwrap()
        .buffer
        .counts()
}

#[tokio::test]
async fn a_log_record_is_exported_with_all_its_fields() {
    let collector = start_collector(&[]).await;
    let (telemetry, _capture) = telemetry_with_logs(&collector, &[]).await;
    let span = telemetry.tracer("test", "1.0.0").start("span");
    let context = with_request_id(&Context::new().with_span(span), "request-1".into());
    let expected = context.span().span_context().clone();
    let before = SystemTime::now();
    {
        let _active = context.clone().attach();
        let cause = std::io::Error::other("the cause");
        let failure = crate::transport::client::RequestError::Connect(cause);
        info!(
            target: "orders::intake",
            count = 3,
            share = 0.5,
            ok = true,
            big = u64::MAX,
            error = &failure as &dyn std::error::Error,
            kind = ?Some(1),
            "order {}", 7
        );
    }
    drop(context);
    let report = flush(&telemetry).await;
    assert_eq!((report.exported, report.pending), (1, 0));
    let resource = resource_logs(&collector).remove(0).resource.unwrap();
    let mut attributes = resource.attributes.iter();
    assert!(attributes.any(|attribute| attribute.key == SERVICE_NAME));
    let scope = scopes(&collector).remove(0);
    assert_eq!(scope.scope.unwrap().name, "orders::intake");
    let record = records(&collector).remove(0);
    assert_eq!(record.trace_id, expected.trace_id().to_bytes());
    assert_eq!(record.span_id, expected.span_id().to_bytes());
    assert_eq!(record.flags, 1);
    assert_eq!(
        (record.severity_number, &*record.severity_text),
        (9, "INFO")
    );
    let since = before.duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    assert!(record.time_unix_nano >= since);
    assert_eq!(record.observed_time_unix_nano, record.time_unix_nano);
    assert_eq!(record.event_name, "");
    use any_value::Value::*;
    for (key, expected) in [
        ("count", IntValue(3)),
        ("share", DoubleValue(0.5)),
        ("ok", BoolValue(true)),
        ("big", StringValue(u64::MAX.to_string())),
        ("error", StringValue("cannot connect: the cause".into())),
        ("kind", StringValue("Some(1)".into())),
        ("faas.invocation_id", StringValue("request-1".into())),
    ] {
        assert_eq!(attribute(&record, key), Some(expected), "{key}");
    }
    assert_eq!(record.attributes.len(), 7);
    assert_eq!(text(record.body), "order 7");
}

#[tokio::test]
async fn levels_are_mapped_to_the_severities_of_the_data_model() {
    let collector = start_collector(&[]).await;
    let (telemetry, _capture) = telemetry_with_logs(&collector, &[]).await;
    trace!(target: "orders", "TRACE");
    debug!(target: "orders", "DEBUG");
    info!(target: "orders", "INFO");
    warn!(target: "orders", "WARN");
    error!(target: "orders", "ERROR");
    flush(&telemetry).await;
    let records = records(&collector);
    let severities: Vec<_> = records
        .iter()
        .map(|record| (record.severity_number, &*record.severity_text))
        .collect();
    assert_eq!(
        severities,
        [
            (1, "TRACE"),
            (5, "DEBUG"),
            (9, "INFO"),
            (13, "WARN"),
            (17, "ERROR")
        ]
    );
    for record in records {
        assert_eq!(record.severity_text, text(record.body));
        // None was logged in a span, or in an invocation.
        assert!(record.trace_id.is_empty() && record.span_id.is_empty());
        assert!(record.attributes.is_empty());
    }
}

#[tokio::test]
async fn an_explicit_event_name_and_invocation_id_are_kept() {
    let collector = start_collector(&[]).await;
    let (telemetry, _capture) = telemetry_with_logs(&collector, &[]).await;
    let context = with_request_id(&Context::new(), "around".into());
    let active = context.attach();
    tracing::event!(name: "order.placed", target: "orders", tracing::Level::INFO, faas.invocation_id = "its own");
    drop(active);
    flush(&telemetry).await;
    let record = records(&collector).remove(0);
    assert_eq!(record.event_name, "order.placed");
    assert_eq!(record.body, None);
    let id = attribute(&record, "faas.invocation_id");
    assert_eq!(id, Some(any_value::Value::StringValue("its own".into())));
}

#[tokio::test]
async fn a_record_has_the_fields_of_the_surrounding_spans_and_the_message_id() {
    let collector = start_collector(&[]).await;
    let (telemetry, _capture) = telemetry_with_logs(&collector, &[]).await;
    let active = with_message_id(&Context::new(), "m-1".into()).attach();
    let span = info_span!(target: "orders", "order", order_id = 7, id = 1, message = "the span's")
        .entered();
    info!(target: "orders", id = 2, "the event's");
    drop(span);
    // The event's own attribute has priority.
    tracing::event!(target: "orders", tracing::Level::INFO, messaging.message.id = "m-2", "sent");
    drop(active);
    flush(&telemetry).await;
    let records = records(&collector);
    use any_value::Value::*;
    for (key, expected) in [
        ("order_id", IntValue(7)),
        ("id", IntValue(2)),
        ("span.id", IntValue(1)),
        ("span.message", StringValue("the span's".into())),
        ("messaging.message.id", StringValue("m-1".into())),
    ] {
        assert_eq!(attribute(&records[0], key), Some(expected), "{key}");
    }
    assert_eq!(text(records[0].body.clone()), "the event's");
    let id = attribute(&records[1], "messaging.message.id");
    assert_eq!(id, Some(StringValue("m-2".into())));
}

#[tokio::test]
async fn log_records_with_a_retryable_status_are_sent_by_the_next_flush() {
    let collector = start_collector(&[
        CollectorResponse::Status(503),
        CollectorResponse::Status(503),
    ])
    .await;
    let (telemetry, capture) = telemetry_with_logs(&collector, &[]).await;
    info!(target: "orders", "first");
    flush(&telemetry).await;
    info!(target: "orders", "second");
    let mut bodies = bodies(&collector);
    assert!(bodies.is_empty());
    for _ in 0..3 {
        flush(&telemetry).await;
        bodies = self::bodies(&collector);
    }
    let order_bodies = bodies.iter().filter(|body| !body.contains("not exported"));
    assert_eq!(order_bodies.collect::<Vec<_>>(), ["first", "second"]);
    let counts = counts(&telemetry);
    assert_eq!((counts.dropped, counts.pending), (0, 0));
    assert_eq!(counts.finished, counts.exported);
    let lines = capture.lines();
    let reported = lines.iter().filter(|line| line["level"] == "WARN");
    assert!(reported.count() >= 1);
}

#[tokio::test]
async fn log_records_that_a_full_buffer_drops_are_counted_and_reported_once() {
    let collector = start_collector(&[]).await;
    let room = 100;
    let bound = ("OTEL_BLRP_MAX_QUEUE_SIZE", "100");
    let (telemetry, capture) = telemetry_with_logs(&collector, &[bound]).await;
    for _ in 0..room + 5 {
        info!(target: "orders", "line");
    }
    for _ in 0..3 {
        flush(&telemetry).await;
    }
    let counts = counts(&telemetry);
    assert_eq!((counts.finished, counts.dropped), (room + 5, 5));
    assert_eq!((counts.exported, counts.pending), (room, 0));
    assert_eq!(bodies(&collector).len() as u64, room);
    let lines = capture.lines();
    let reported: Vec<_> = lines
        .iter()
        .filter(|line| line["level"] == "WARN")
        .collect();
    assert_eq!(reported.len(), 1);
    assert_eq!(reported[0]["log_records"], 5);
}

#[tokio::test]
async fn events_of_an_export_are_not_exported_at_any_level() {
    let collector = start_collector(&[]).await;
    let (telemetry, capture) = telemetry_with_logs(&collector, &[]).await;
    for target in ["h2", "hyper", "tonic", "tower", "rustls"] {
        // A target must be static.
        match target {
            "h2" => error!(target: "h2::codec", "own"),
            "hyper" => error!(target: "hyper_util::client", "own"),
            "tonic" => error!(target: "tonic", "own"),
            "tower" => error!(target: "tower::buffer", "own"),
            _ => error!(target: "rustls::conn", "own"),
        }
    }
    info!(target: "baton_telemetry::telemetry", "own");
    trace!(target: "lambda_runtime::layers", "a body");
    trace!(target: "tower_http::trace", "of the program");
    warn!(target: "baton_telemetry::export", "a failure");
    end_span(&telemetry, "span");
    for _ in 0..3 {
        flush(&telemetry).await;
    }
    assert_eq!(bodies(&collector), ["of the program", "a failure"]);
    // The first flush sent both, the others had nothing to send.
    assert_eq!(collector.request_count(), 2);
    assert!(capture.lines().len() > 9);
}

#[tokio::test]
async fn no_lock_is_held_while_a_debug_implementation_runs() {
    struct Busy(Telemetry);
    impl std::fmt::Debug for Busy {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            // If the implementation logged an event, the event would need this lock.
            assert!(
                !self
                    .0
                    .inner
                    .pipeline
                    .logs
                    .as_ref()
                    .unwrap()
                    .buffer
                    .is_locked()
            );
            drop(Context::new().attach());
            formatter.write_str("made")
        }
    }
    let collector = start_collector(&[]).await;
    let (telemetry, _capture) = telemetry_with_logs(&collector, &[]).await;
    info!(target: "orders", value = ?Busy(telemetry.clone()), "line");
    flush(&telemetry).await;
    let value = attribute(&records(&collector)[0], "value");
    assert_eq!(value, Some(any_value::Value::StringValue("made".into())));
}

#[tokio::test]
async fn a_record_too_large_for_a_request_loses_its_attributes_and_counts_them() {
    let collector = start_collector(&[]).await;
    let (telemetry, _capture) = telemetry_with_logs(&collector, &[]).await;
    let long = "x".repeat(300 * 1024);
    info!(target: "orders", a = long, b = long, c = long, d = long, e = long, "large");
    info!(target: "orders", a = long, "small enough");
    flush(&telemetry).await;
    let records = records(&collector);
    let kept: Vec<_> = records
        .iter()
        .map(|record| (record.attributes.len(), record.dropped_attributes_count))
        .collect();
    assert_eq!(kept, [(0, 5), (1, 0)]);
}

#[tokio::test]
async fn spans_and_log_records_are_exported_concurrently() {
    let collector = start_collector(&[CollectorResponse::Hang, CollectorResponse::Hang]).await;
    let (telemetry, _capture) = telemetry_with_logs(&collector, &[]).await;
    end_span(&telemetry, "span");
    info!(target: "orders", "line");
    let began = Instant::now();
    flush(&telemetry).await;
    assert!(began.elapsed() < BUDGET * 2);
    assert_eq!(collector.request_count(), 2);
}

#[tokio::test]
async fn a_group_flush_sends_only_its_own_log_records() {
    let collector = start_collector(&[]).await;
    let (telemetry, _capture) = telemetry_with_logs(&collector, &[]).await;
    let (one, other) = (telemetry.flush_group(), telemetry.flush_group());
    for (group, text) in [(&one, "one"), (&other, "other")] {
        let _active = group.attach(&Context::new()).attach();
        info!(target: "orders", "{text}");
    }
    let context = one.attach(&Context::new());
    telemetry
        .flush_context_group(&context, Instant::now() + BUDGET)
        .await;
    assert_eq!(bodies(&collector), ["one"]);
    drop(other);
    flush(&telemetry).await;
    assert_eq!(bodies(&collector), ["one", "other"]);
}

#[tokio::test]
async fn log_records_are_exported_even_if_spans_are_not() {
    let collector = start_collector(&[]).await;
    let none = ("OTEL_TRACES_EXPORTER", "none");
    let (telemetry, _capture) = telemetry_with_logs(&collector, &[none]).await;
    end_span(&telemetry, "span");
    info!(target: "orders", "line");
    telemetry.export_in_background();
    telemetry.shutdown(Instant::now() + BUDGET).await;
    assert_eq!(bodies(&collector), ["line"]);
    assert!(exported_names(&collector).is_empty());
}

#[tokio::test]
async fn log_records_are_not_created_unless_otlp_is_configured() {
    let collector = start_collector(&[]).await;
    for exporter in [None, Some("none"), Some("console")] {
        let variable = exporter.map(|exporter| ("OTEL_LOGS_EXPORTER", exporter));
        let telemetry = telemetry(&collector, variable.as_slice()).await;
        assert!(telemetry.inner.pipeline.logs.is_none(), "{exporter:?}");
    }
}
