//! Flushing over a real socket, to a collector that behaves and to collectors that do not.

use std::collections::HashMap;

use baton_test_support::{Answer, TestCollector};
use opentelemetry::trace::{Span as _, Tracer as _};
use opentelemetry_semantic_conventions::attribute::SERVICE_NAME;
use tokio::time::Instant;

use self::collector::*;
use super::*;
use crate::buffer::FlushGroup;

mod answers;
mod collector;
mod console;
mod endings;
mod failures;
mod groups;
mod logs;
mod metrics;
mod rejected;
mod renewed_headers;
mod spill;
mod wrong_endpoint;

const SERVICE: Service = Service {
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
    let config = config(collector, more);
    let resource = resource::detect(&config, SERVICE).await;
    Telemetry::new(&config, resource, config.log_buffer(), None, output)
}

fn config(collector: &TestCollector, more: &[(&'static str, &'static str)]) -> Config {
    let endpoint = collector.endpoint();
    // One signal at a time, and what does not arrive stays, unless a test says otherwise: what it
    // counts are requests.
    let mut variables = HashMap::from([("BATON_SPILL", "none"), ("OTEL_METRICS_EXPORTER", "none")]);
    variables.extend(more.iter().copied());
    variables.insert("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint);
    let (config, problems) =
        Config::from_lookup(&|name| variables.get(name).map(|value| (*value).to_owned()));
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
async fn what_has_finished_arrives_with_its_resource_and_headers() {
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
    let header = |name| export.header(name).unwrap();
    assert_eq!(header("authorization"), "Bearer KEY");
    assert_eq!(header("content-type"), "application/x-protobuf");
    assert_eq!(header("host"), collector.address().to_string());
}

#[tokio::test]
async fn flushes_share_one_connection_and_an_empty_one_sends_nothing() {
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
async fn a_connection_that_died_meanwhile_is_replaced_at_once() {
    let collector = start_collector(&[Answer::OkThenClose]).await;
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
async fn a_request_that_an_overloaded_collector_refused_is_sent_again_at_once() {
    for status in [429, 502, 503, 504] {
        let collector = start_collector(&[Answer::Status(status)]).await;
        let telemetry = telemetry(&collector, &[]).await;
        end_span(&telemetry, "span");
        assert_eq!(flush(&telemetry).await.exported, 1, "{status}");
        assert_eq!(collector.request_count(), 2);
    }
}

#[tokio::test]
async fn spans_that_an_overloaded_collector_refused_go_with_the_next_flush() {
    let collector = start_collector(&[Answer::Status(503); 2]).await;
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
async fn spans_that_are_refused_for_good_are_counted_and_do_not_block_what_follows() {
    let collector = start_collector(&[Answer::Status(400)]).await;
    let telemetry = telemetry(&collector, &[]).await;
    end_span(&telemetry, "refused");
    let report = flush(&telemetry).await;
    assert_eq!((report.exported, report.pending, report.dropped), (0, 0, 1));
    end_span(&telemetry, "accepted");
    assert_eq!(flush(&telemetry).await.exported, 1);
}

#[tokio::test]
async fn a_collector_that_hangs_costs_the_budget_and_no_span() {
    let collector = start_collector(&[Answer::Hang]).await;
    let telemetry = telemetry(&collector, &[]).await;
    end_span(&telemetry, "span");
    let started = Instant::now();
    assert_eq!(flush(&telemetry).await.pending, 1);
    let took = started.elapsed();
    // Far below the ten seconds that a request may take by itself.
    assert!(took >= BUDGET && took < BUDGET * 10, "{took:?}");
    assert_eq!(flush(&telemetry).await.exported, 1);
}

#[tokio::test]
async fn a_collector_that_is_not_there_costs_no_span() {
    let collector = start_collector(&[]).await;
    let telemetry = telemetry(&collector, &[]).await;
    drop(collector);
    end_span(&telemetry, "span");
    assert_eq!(flush(&telemetry).await.pending, 1);
}

#[tokio::test]
async fn ten_thousand_spans_and_as_many_links_arrive_in_requests_below_the_limit() {
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
async fn a_service_exports_in_the_background_and_what_is_left_at_shutdown() {
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
async fn a_flush_beside_another_one_returns_with_its_spans_settled() {
    let collector = start_collector(&[Answer::Status(503); 2]).await;
    let telemetry = telemetry(&collector, &[]).await;
    end_span(&telemetry, "first");
    let deadline = Instant::now() + BUDGET;
    // The first flush takes both spans and fails; the second one has to send them.
    end_span(&telemetry, "second");
    let (_, second) = tokio::join!(telemetry.flush(deadline), telemetry.flush(deadline));
    assert_eq!((second.exported, second.pending), (2, 0));
}

#[tokio::test]
async fn a_flush_that_is_dropped_half_way_leaves_its_spans_to_the_next() {
    let collector = start_collector(&[Answer::Hang]).await;
    let telemetry = telemetry(&collector, &[]).await;
    end_span(&telemetry, "span");
    let request_deadline = Duration::from_millis(50);
    let dropped = tokio::time::timeout(request_deadline, flush(&telemetry)).await;
    assert!(dropped.is_err());
    assert_eq!(flush(&telemetry).await.exported, 1);
}

#[tokio::test]
async fn one_span_that_is_refused_does_not_take_its_request_with_it() {
    // The whole request is refused, then the first of its two chunks.
    let collector = start_collector(&[Answer::Status(400), Answer::Status(400)]).await;
    let telemetry = telemetry(&collector, &[]).await;
    telemetry.tracer("one", "1.0.0").start("refused").end();
    telemetry.tracer("two", "1.0.0").start("accepted").end();
    let report = flush(&telemetry).await;
    assert_eq!((report.exported, report.dropped, report.pending), (1, 1, 0));
    assert_eq!(exported_names(&collector), ["accepted"]);
}

#[tokio::test]
async fn a_key_that_is_not_accepted_yet_loses_nothing() {
    let collector = start_collector(&[Answer::Status(401)]).await;
    let telemetry = telemetry(&collector, &[]).await;
    end_span(&telemetry, "span");
    assert_eq!(flush(&telemetry).await.pending, 1);
    assert_eq!(flush(&telemetry).await.exported, 1);
}

#[tokio::test]
async fn a_collector_that_is_down_is_not_asked_for_every_span() {
    let collector = start_collector(&[Answer::Status(503); 100]).await;
    let settings = [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_SCHEDULE_DELAY", "60000"),
    ];
    let telemetry = telemetry(&collector, &settings).await;
    telemetry.export_in_background();
    for _ in 0..100 {
        end_span(&telemetry, "span");
        // Lets the background task run whatever it wants to.
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
async fn without_an_exporter_the_callers_sampling_decision_travels_on() {
    let collector = start_collector(&[]).await;
    let telemetry = telemetry(&collector, &[("OTEL_TRACES_EXPORTER", "none")]).await;
    let span = telemetry.tracer("test", "1.0.0").start("span");
    assert!(span.span_context().is_sampled());
    drop(span);
    flush(&telemetry).await;
    assert!(collector.request_count() == 0);
}

#[tokio::test]
async fn the_sampler_is_asked_as_for_a_new_trace() {
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
