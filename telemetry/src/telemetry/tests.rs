//! Flushes over a real socket, to collectors that accept, reject, hang or are down.

use std::collections::HashMap;

use baton_test_support::{CollectorResponse, TestCollector};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceState, Tracer as _,
};
use opentelemetry_semantic_conventions::attribute::SERVICE_NAME;
use tokio::time::Instant;

use self::collector::*;
use super::*;
use crate::buffer::FlushGroup;

mod collector;
mod console;
mod failures;
mod fetched_headers;
mod groups;
mod logs;
mod metrics;
mod program;
mod rejected;
mod responses;
mod shutdown;
mod spill;
mod wrong_endpoint;

const SERVICE: ServiceInfo = ServiceInfo {
    name: "orders",
    version: None,
};
/// Long enough for loopback, short enough to notice a flush that ignores it.
const BUDGET: Duration = Duration::from_millis(500);

async fn telemetry(collector: &TestCollector, more: &[(&'static str, &'static str)]) -> Telemetry {
    telemetry_with_output(collector, more, Output::captured()).await
}

async fn telemetry_with_output(
    collector: &TestCollector,
    more: &[(&'static str, &'static str)],
    output: Output,
) -> Telemetry {
    let builder = Telemetry::builder(SERVICE);
    built(builder, config(collector, more), output).await
}

/// Initialises telemetry as [`Telemetry::set_up`] does, without globals.
async fn built(
    builder: TelemetryBuilder,
    mut config: TelemetryConfig,
    output: Output,
) -> Telemetry {
    let mut parts = builder.parts;
    if let Some(parts) = &mut parts {
        parts.apply_to(&mut config);
    }

    let add_detected = |attributes: &mut Vec<KeyValue>| add_detected(&parts, attributes);
    let resource = resource::detect(&config, builder.service, &add_detected).await;
    let resource = match &parts {
        Some(parts) => parts.merge_resource(resource),
        None => resource,
    };
    let log_buffer = config.log_buffer();
    Telemetry::new(&config, parts, resource, log_buffer, None, output)
}

fn config(collector: &TestCollector, more: &[(&'static str, &'static str)]) -> TelemetryConfig {
    let endpoint = collector.endpoint();
    // The tests count requests. Unless a test overrides these variables, only spans are exported,
    // and those that the collector does not accept stay in the buffer.
    let mut variables = HashMap::from([("BATON_SPILL", "none"), ("OTEL_METRICS_EXPORTER", "none")]);
    variables.extend(more.iter().copied());
    variables.insert("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint);
    let (config, problems) =
        TelemetryConfig::from_lookup(&|name| variables.get(name).map(|value| (*value).to_owned()));
    assert!(problems.is_empty(), "{problems:?}");
    config
}

fn end_span(telemetry: &Telemetry, name: &'static str) {
    telemetry.tracer("test", "1.0.0").start(name).end();
}

async fn flush(telemetry: &Telemetry) -> FlushReport {
    telemetry.flush(Instant::now() + BUDGET).await
}

#[tokio::test]
async fn finished_spans_are_exported_with_resource_and_headers() {
    let collector = start_collector(&[]).await;
    let key = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer KEY");
    let telemetry = telemetry(&collector, &[key]).await;
    end_span(&telemetry, "first");
    end_span(&telemetry, "second");
    let report = flush(&telemetry).await;
    assert_eq!(
        (report.finished, report.exported, report.pending),
        (2, 2, 0)
    );
    assert_eq!(exported_names(&collector), ["first", "second"]);
    let resource = resource_spans(&collector).remove(0).resource.unwrap();
    assert!(
        resource
            .attributes
            .iter()
            .any(|attribute| attribute.key == SERVICE_NAME)
    );
    let export = &collector.exports(baton_test_support::Signal::Traces)[0];
    assert_eq!(export.target, "POST /v1/traces");
    let header = |name| export.header(name).unwrap();
    assert_eq!(header("authorization"), "Bearer KEY");
    assert_eq!(header("content-type"), "application/x-protobuf");
    assert_eq!(header("host"), collector.address().to_string());
}

#[tokio::test]
async fn flushes_share_one_connection_and_an_empty_flush_sends_nothing() {
    let collector = start_collector(&[]).await;
    let telemetry = telemetry(&collector, &[]).await;
    for _ in 0..3 {
        end_span(&telemetry, "span");
        flush(&telemetry).await;
    }
    flush(&telemetry).await;
    assert_eq!(
        (collector.request_count(), collector.connection_count()),
        (3, 1)
    );
}

#[tokio::test]
async fn a_closed_connection_is_replaced_immediately() {
    let collector = start_collector(&[CollectorResponse::OkThenClose]).await;
    let telemetry = telemetry(&collector, &[]).await;
    for _ in 0..2 {
        end_span(&telemetry, "span");
        assert_eq!(flush(&telemetry).await.pending, 0);
    }
    assert_eq!(
        (
            exported_names(&collector).len(),
            collector.connection_count()
        ),
        (2, 2)
    );
}

#[tokio::test]
async fn a_request_with_a_retryable_status_is_retried_immediately() {
    for status in [429, 502, 503, 504] {
        let collector = start_collector(&[CollectorResponse::Status(status)]).await;
        let telemetry = telemetry(&collector, &[]).await;
        end_span(&telemetry, "span");
        assert_eq!(flush(&telemetry).await.exported, 1, "{status}");
        assert_eq!(collector.request_count(), 2);
    }
}

#[tokio::test]
async fn spans_with_a_retryable_status_are_sent_by_the_next_flush() {
    let collector = start_collector(&[CollectorResponse::Status(503); 2]).await;
    let telemetry = telemetry(&collector, &[]).await;
    end_span(&telemetry, "first");
    let report = flush(&telemetry).await;
    assert_eq!((report.exported, report.pending, report.dropped), (0, 1, 0));
    end_span(&telemetry, "second");
    let report = flush(&telemetry).await;
    assert_eq!((report.exported, report.pending, report.dropped), (2, 0, 0));
    assert_eq!(exported_names(&collector), ["first", "second"]);
}

#[tokio::test]
async fn rejected_spans_are_counted_and_do_not_block_later_spans() {
    let collector = start_collector(&[CollectorResponse::Status(400)]).await;
    let telemetry = telemetry(&collector, &[]).await;
    end_span(&telemetry, "refused");
    let report = flush(&telemetry).await;
    assert_eq!((report.exported, report.pending, report.dropped), (0, 0, 1));
    end_span(&telemetry, "accepted");
    assert_eq!(flush(&telemetry).await.exported, 1);
}

#[tokio::test]
async fn a_flush_to_a_hanging_collector_takes_its_budget_and_loses_no_span() {
    let collector = start_collector(&[CollectorResponse::Hang]).await;
    let telemetry = telemetry(&collector, &[]).await;
    end_span(&telemetry, "span");
    let started = Instant::now();
    assert_eq!(flush(&telemetry).await.pending, 1);
    let took = started.elapsed();
    // Far below the default timeout of a request, which is ten seconds.
    assert!(took >= BUDGET && took < BUDGET * 10, "{took:?}");
    assert_eq!(flush(&telemetry).await.exported, 1);
}

#[tokio::test]
async fn no_span_is_lost_if_the_collector_is_unreachable() {
    let collector = start_collector(&[]).await;
    let telemetry = telemetry(&collector, &[]).await;
    drop(collector);
    end_span(&telemetry, "span");
    assert_eq!(flush(&telemetry).await.pending, 1);
}

#[tokio::test]
async fn ten_thousand_spans_and_links_are_exported_in_requests_below_the_size_limit() {
    use opentelemetry::trace::{Link, TraceContextExt as _};
    let collector = start_collector(&[]).await;
    let telemetry = telemetry(&collector, &[]).await;
    let tracer = telemetry.tracer("test", "1.0.0");
    let mut links = Vec::new();
    for _ in 0..10_000 {
        let mut span = tracer.start("record");
        span.set_attribute(opentelemetry::KeyValue::new("filler", "x".repeat(600)));
        let context = opentelemetry::Context::new().with_span(span);
        links.push(Link::with_context(context.span().span_context().clone()));
    }
    tracer
        .span_builder("batch")
        .with_links(links)
        .start(&tracer)
        .end();
    let report = telemetry
        .flush(Instant::now() + Duration::from_secs(20))
        .await;
    assert_eq!(
        (report.exported, report.pending, report.dropped),
        (10_001, 0, 0)
    );
    let accepted = resource_spans(&collector);
    let spans = accepted
        .iter()
        .flat_map(|resource| &resource.scope_spans)
        .flat_map(|scope| &scope.spans);
    let batch = spans
        .filter(|span| span.name == "batch")
        .collect::<Vec<_>>();
    assert_eq!(
        (
            batch.len(),
            batch[0].links.len(),
            batch[0].dropped_links_count
        ),
        (1, 10_000, 0)
    );
    let lengths = header_values(&collector, "content-length").into_iter();
    let lengths: Vec<usize> = lengths.map(|length| length.parse().unwrap()).collect();
    assert!(
        lengths.len() > 1 && lengths.iter().all(|length| *length < 4 * 1024 * 1024),
        "{lengths:?}"
    );
}

#[tokio::test]
async fn a_full_buffer_drops_and_counts() {
    let collector = start_collector(&[]).await;
    let telemetry = telemetry(&collector, &[("OTEL_BSP_MAX_QUEUE_SIZE", "2")]).await;
    for name in ["first", "second", "third"] {
        end_span(&telemetry, name);
    }
    let report = flush(&telemetry).await;
    assert_eq!(
        (report.finished, report.exported, report.dropped),
        (3, 2, 1)
    );
    end_span(&telemetry, "fourth");
    assert_eq!(flush(&telemetry).await.exported, 3);
}

#[tokio::test]
async fn unsampled_spans_are_neither_sent_nor_counted() {
    let collector = start_collector(&[]).await;
    let telemetry = telemetry(&collector, &[("OTEL_TRACES_SAMPLER", "always_off")]).await;
    end_span(&telemetry, "span");
    assert_eq!(flush(&telemetry).await, FlushReport::default());
}

#[tokio::test]
async fn a_service_exports_in_the_background_and_at_shutdown() {
    let collector = start_collector(&[]).await;
    let telemetry = telemetry(&collector, &[("OTEL_BSP_SCHEDULE_DELAY", "20")]).await;
    telemetry.export_in_background();
    end_span(&telemetry, "first");
    tokio::time::timeout(Duration::from_secs(5), async {
        while exported_names(&collector).is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    end_span(&telemetry, "last");
    let report = telemetry.shutdown(Instant::now() + BUDGET).await;
    assert_eq!((report.exported, report.pending), (2, 0));
    assert_eq!(exported_names(&collector), ["first", "last"]);
}

#[tokio::test]
async fn a_concurrent_flush_sends_the_spans_of_a_failed_one() {
    let collector = start_collector(&[CollectorResponse::Status(503); 2]).await;
    let telemetry = telemetry(&collector, &[]).await;
    end_span(&telemetry, "first");
    let deadline = Instant::now() + BUDGET;
    // The first flush takes both spans and fails, so the second one must send them.
    end_span(&telemetry, "second");
    let (_, second) = tokio::join!(telemetry.flush(deadline), telemetry.flush(deadline));
    assert_eq!((second.exported, second.pending), (2, 0));
}

#[tokio::test]
async fn spans_of_a_cancelled_flush_are_sent_by_the_next_one() {
    let collector = start_collector(&[CollectorResponse::Hang]).await;
    let telemetry = telemetry(&collector, &[]).await;
    end_span(&telemetry, "span");
    let flush_timeout = Duration::from_millis(50);
    let dropped = tokio::time::timeout(flush_timeout, flush(&telemetry)).await;
    assert!(dropped.is_err());
    assert_eq!(flush(&telemetry).await.exported, 1);
}

#[tokio::test]
async fn a_rejected_chunk_does_not_fail_the_rest_of_its_request() {
    // The collector rejects the whole request, then the first of its two chunks.
    let collector = start_collector(&[
        CollectorResponse::Status(400),
        CollectorResponse::Status(400),
    ])
    .await;
    let telemetry = telemetry(&collector, &[]).await;
    telemetry.tracer("one", "1.0.0").start("refused").end();
    telemetry.tracer("two", "1.0.0").start("accepted").end();
    let report = flush(&telemetry).await;
    assert_eq!((report.exported, report.dropped, report.pending), (1, 1, 0));
    assert_eq!(exported_names(&collector), ["accepted"]);
}

#[tokio::test]
async fn spans_rejected_with_401_are_sent_by_the_next_flush() {
    let collector = start_collector(&[CollectorResponse::Status(401)]).await;
    let telemetry = telemetry(&collector, &[]).await;
    end_span(&telemetry, "span");
    assert_eq!(flush(&telemetry).await.pending, 1);
    assert_eq!(flush(&telemetry).await.exported, 1);
}

#[tokio::test]
async fn a_collector_that_is_down_is_not_contacted_for_every_span() {
    let collector = start_collector(&[CollectorResponse::Status(503); 100]).await;
    let settings = [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_SCHEDULE_DELAY", "60000"),
    ];
    let telemetry = telemetry(&collector, &settings).await;
    telemetry.export_in_background();
    for _ in 0..100 {
        end_span(&telemetry, "span");
        // Gives the background task the opportunity to run.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
    let report = telemetry.shutdown(Instant::now() + BUDGET).await;
    assert_eq!((report.pending, report.dropped), (0, 100));
    assert!(
        collector.request_count() <= 4,
        "{} requests",
        collector.request_count()
    );
}

#[tokio::test]
async fn spans_are_sampled_without_an_exporter() {
    let collector = start_collector(&[]).await;
    let telemetry = telemetry(&collector, &[("OTEL_TRACES_EXPORTER", "none")]).await;
    let span = telemetry.tracer("test", "1.0.0").start("span");
    assert!(span.span_context().is_sampled());
    drop(span);
    flush(&telemetry).await;
    assert!(collector.request_count() == 0);
}

#[tokio::test]
async fn a_disabled_sdk_starts_no_trace_and_continues_that_of_the_caller() {
    let collector = start_collector(&[]).await;
    let telemetry = telemetry(&collector, &[("OTEL_SDK_DISABLED", "true")]).await;
    let tracer = telemetry.tracer("test", "1.0.0");
    let root = tracer.start_with_context("root", &Context::new());
    assert!(!root.is_recording());
    assert_eq!(*root.span_context(), SpanContext::NONE);

    let caller = SpanContext::new(
        TraceId::from(1),
        SpanId::from(2),
        TraceFlags::SAMPLED,
        true,
        TraceState::from_key_value([("vendor", "state")]).unwrap(),
    );
    let context = Context::new().with_remote_span_context(caller.clone());
    let child = tracer.start_with_context("child", &context);
    assert_eq!(*child.span_context(), caller);
    drop((root, child));
    assert_eq!(flush(&telemetry).await, FlushReport::default());
    assert_eq!(collector.request_count(), 0);
}

#[tokio::test]
async fn root_sampling_follows_the_configured_sampler() {
    let collector = start_collector(&[]).await;
    let trace_id = TraceId::from_bytes([1; 16]);
    for (sampler, argument, sampled) in [
        ("parentbased_always_on", "", true),
        ("parentbased_always_off", "", false),
        ("always_off", "", false),
        ("traceidratio", "0", false),
        ("parentbased_traceidratio", "1", true),
    ] {
        let variables = [
            ("OTEL_TRACES_SAMPLER", sampler),
            ("OTEL_TRACES_SAMPLER_ARG", argument),
        ];
        let telemetry = telemetry(&collector, &variables).await;
        assert_eq!(telemetry.samples_root(trace_id), sampled, "{sampler}");
    }
}
