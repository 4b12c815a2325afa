//! Exporters that the program provides.

use std::future::pending;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use opentelemetry::metrics::Counter;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceState};
use opentelemetry::{KeyValue, global};
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::resource::ResourceDetector;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, IdGenerator, Sampler, SamplingResult, SimpleSpanProcessor, SpanData,
    SpanExporter, SpanProcessor,
};
use tracing::warn;

use super::groups::Invocation;
use super::*;
use crate::logs::{Capture, captured};

/// Action of an exporter in one export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Accept,
    Fail,
    Hang,
    Panic,
    /// Panics when the cancelled future is dropped.
    PanicOnDrop,
    Block,
    /// Panics with a payload that panics when it is dropped.
    PanicWithPayload,
}

#[derive(Debug, Default, Clone)]
struct Log {
    spans: Arc<Mutex<Vec<SpanData>>>,
    resource: Arc<Mutex<Option<Resource>>>,
    calls: Arc<Mutex<u32>>,
    shutdowns: Arc<Mutex<u32>>,
}

impl Log {
    fn names(&self) -> Vec<String> {
        let spans = self.spans.lock().unwrap();
        spans.iter().map(|span| span.name.to_string()).collect()
    }

    fn calls(&self) -> u32 {
        *self.calls.lock().unwrap()
    }
}

/// An exporter whose first exports follow a script. Later ones accept.
#[derive(Debug)]
struct Scripted {
    script: Vec<Action>,
    log: Log,
}

struct PanicOnDrop(bool);

impl Drop for PanicOnDrop {
    fn drop(&mut self) {
        assert!(!self.0, "dropped");
    }
}

impl SpanExporter for Scripted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let call = {
            let mut calls = self.log.calls.lock().unwrap();
            *calls += 1;
            *calls as usize - 1
        };
        // The exporter's own span. If it were exported, there would always be another one.
        assert!(Context::is_current_telemetry_suppressed());
        global::tracer("exporter").start("own").end();
        match self.script.get(call).copied().unwrap_or(Action::Accept) {
            Action::Accept => tokio::task::yield_now().await,
            Action::Fail => return Err(OTelSdkError::InternalFailure("no".to_owned())),
            Action::Hang => pending().await,
            Action::Panic => panic!("no reactor"),
            Action::PanicWithPayload => std::panic::panic_any(PanicOnDrop(true)),
            Action::PanicOnDrop => {
                let _guard = PanicOnDrop(true);
                pending().await
            }
            Action::Block => std::thread::sleep(Duration::from_millis(600)),
        }
        assert!(Context::is_current_telemetry_suppressed());
        self.log.spans.lock().unwrap().extend(batch);
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        *self.log.resource.lock().unwrap() = Some(resource.clone());
    }

    fn shutdown(&self) -> OTelSdkResult {
        *self.log.shutdowns.lock().unwrap() += 1;
        Ok(())
    }
}

async fn scripted(
    script: &[Action],
    more: &[(&'static str, &'static str)],
) -> (Telemetry, Log, Output) {
    // Nothing may be sent to the collector that the environment names.
    let collector = start_collector(&[]).await;
    let (log, output) = (Log::default(), Output::captured());
    let exporter = Scripted {
        script: script.to_vec(),
        log: log.clone(),
    };
    let builder = Telemetry::builder(SERVICE).span_exporter(exporter);
    let config = config(&collector, more);
    let telemetry = built(builder, config, output.clone()).await;
    (telemetry, log, output)
}

const SPILL: (&str, &str) = ("BATON_SPILL", "stdout");

#[tokio::test]
async fn spans_are_exported_by_the_programs_exporter_with_the_resource() {
    let (telemetry, log, _) = scripted(&[], &[]).await;
    end_span(&telemetry, "first");
    end_span(&telemetry, "second");
    let report = flush(&telemetry).await;
    assert_eq!(
        (report.finished, report.exported, report.pending),
        (2, 2, 0)
    );
    assert_eq!(log.names(), ["first", "second"]);
    let resource = log.resource.lock().unwrap().clone().unwrap();
    let name = resource.get(&Key::from_static_str(SERVICE_NAME));
    assert_eq!(name.unwrap().to_string(), "orders");
    // Without spans, the exporter is not called.
    flush(&telemetry).await;
    assert_eq!(log.calls(), 1);
}

#[tokio::test]
async fn what_the_exporter_does_not_accept_is_spilled_within_the_budget() {
    for action in [
        Action::Fail,
        Action::Hang,
        Action::Panic,
        Action::PanicOnDrop,
        Action::PanicWithPayload,
    ] {
        let (telemetry, log, output) = scripted(&[action], &[SPILL]).await;
        end_span(&telemetry, "lost");
        let began = Instant::now();
        let report = flush(&telemetry).await;
        assert!(
            began.elapsed() < BUDGET + Duration::from_millis(200),
            "{action:?}"
        );
        let counts = (
            report.finished,
            report.exported,
            report.spilled,
            report.pending,
        );
        assert_eq!(counts, (1, 0, 1, 0), "{action:?}");
        assert!(output.lines()[0].contains("lost"), "{action:?}");
        end_span(&telemetry, "next");
        assert_eq!(flush(&telemetry).await.exported, 1, "{action:?}");
        assert_eq!(log.names(), ["next"]);
    }
}

#[tokio::test]
async fn without_spilling_the_next_flush_exports_the_spans() {
    let (telemetry, log, _) = scripted(&[Action::Hang, Action::Fail], &[]).await;
    end_span(&telemetry, "first");
    assert_eq!(flush(&telemetry).await.pending, 1);
    end_span(&telemetry, "second");
    assert_eq!(flush(&telemetry).await.pending, 2);
    assert_eq!(flush(&telemetry).await.exported, 2);
    assert_eq!(log.names(), ["first", "second"]);
}

#[tokio::test]
async fn an_exporter_that_hangs_is_not_called_while_the_circuit_breaker_is_open() {
    let (telemetry, log, _) = scripted(&[Action::Hang; 10], &[SPILL]).await;
    for _ in 0..4 {
        end_span(&telemetry, "span");
        flush(&telemetry).await;
    }
    assert_eq!(log.calls(), 2);
    let report = flush(&telemetry).await;
    assert_eq!((report.finished, report.spilled), (4, 4));
}

#[tokio::test]
async fn exports_of_groups_take_turns_and_one_that_waits_does_not_count_as_a_failure() {
    let (telemetry, log, _) = scripted(&[Action::Hang, Action::Accept], &[SPILL]).await;
    let invocations: Vec<_> = (0..4).map(|_| Invocation::start(&telemetry)).collect();
    for invocation in &invocations {
        invocation.end_span("span");
    }
    // Three flushes wait for the first one until their deadlines.
    tokio::join!(
        invocations[0].flush(BUDGET),
        invocations[1].flush(BUDGET / 4),
        invocations[2].flush(BUDGET / 4),
        invocations[3].flush(BUDGET / 4),
    );
    assert_eq!(log.calls(), 1);
    // The circuit breaker is closed: only one call has failed.
    end_span(&telemetry, "next");
    let report = flush(&telemetry).await;
    assert_eq!((report.exported, report.spilled), (1, 4));
}

#[test]
fn a_panic_and_a_blocked_thread_are_logged_once_with_the_remedy() {
    for (action, message) in [
        (Action::Panic, "the exporter panicked"),
        (Action::Block, "the exporter blocks the thread"),
    ] {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        let lines = captured(|| {
            runtime.block_on(async {
                let (telemetry, ..) = scripted(&[action; 2], &[SPILL]).await;
                for _ in 0..2 {
                    end_span(&telemetry, "span");
                    flush(&telemetry).await;
                }
            });
        });
        let is_it = |line: &&serde_json::Value| {
            line["level"] == "ERROR" && line["message"].as_str().unwrap().starts_with(message)
        };
        let found: Vec<_> = lines.iter().filter(is_it).collect();
        assert_eq!(found.len(), 1, "{lines:?}");
        assert!(
            found[0]["remedy"]
                .as_str()
                .unwrap()
                .contains("with_http_client")
        );
    }
}

#[tokio::test]
async fn shutdown_shuts_the_exporter_down_after_the_last_export() {
    let (telemetry, log, _) = scripted(&[], &[]).await;
    end_span(&telemetry, "last");
    let report = telemetry.shutdown(Instant::now() + BUDGET).await;
    assert_eq!((report.exported, report.pending), (1, 0));
    assert_eq!(*log.shutdowns.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_disabled_sdk_does_not_use_the_exporter() {
    let (telemetry, log, _) = scripted(&[], &[("OTEL_SDK_DISABLED", "true")]).await;
    end_span(&telemetry, "span");
    assert_eq!(flush(&telemetry).await, FlushReport::default());
    assert_eq!(log.calls(), 0);
}

/// The `Debug` form of `opentelemetry-otlp` with a blocking client.
#[derive(Debug)]
struct Blocking {
    #[expect(dead_code, reason = "read by Debug")]
    client: Mutex<Option<Client>>,
}

#[derive(Debug)]
struct Client {}

impl SpanExporter for Blocking {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}

#[tokio::test]
async fn an_exporter_with_a_blocking_client_is_invalid_and_nothing_is_exported() {
    let builder = || {
        Telemetry::builder(SERVICE).span_exporter(Blocking {
            client: Mutex::new(Some(Client {})),
        })
    };
    let error = builder().try_init().await.unwrap_err();
    assert!(
        error.to_string().contains("blocking HTTP client"),
        "{error}"
    );
    // A `main` that returns the error prints this form.
    assert_eq!(format!("{error:?}"), error.to_string());
    let collector = start_collector(&[]).await;
    let config = config(&collector, &[]);
    let telemetry = built(builder(), config, Output::captured()).await;
    assert_eq!(telemetry.invalid_exporter(), Some(&error));
    end_span(&telemetry, "span");
    assert_eq!(flush(&telemetry).await, FlushReport::default());
    assert_eq!(collector.request_count(), 0);
}

/// Keeps the bodies and the trace ids of the records that it is given.
#[derive(Debug, Clone, Default)]
struct Records(Arc<Mutex<Vec<RecordSummary>>>);

type RecordSummary = (String, Option<TraceId>);

impl LogExporter for Records {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        tokio::task::yield_now().await;
        let records = batch.iter().map(|(record, _)| {
            let trace = record.trace_context().map(|trace| trace.trace_id);
            (format!("{:?}", record.body()), trace)
        });
        self.0.lock().unwrap().extend(records);
        Ok(())
    }
}

#[tokio::test]
async fn log_records_are_exported_by_the_programs_exporter() {
    let collector = start_collector(&[]).await;
    let records = Records::default();
    let builder = Telemetry::builder(SERVICE).log_exporter(records.clone());
    // The default of `OTEL_LOGS_EXPORTER` is `none`.
    let telemetry = built(builder, config(&collector, &[]), Output::captured()).await;
    let buffer = telemetry.inner.pipeline.logs.as_ref().unwrap();
    let capture = Capture::with_records(buffer.buffer.clone());
    let context = SpanContext::new(
        TraceId::from(7),
        SpanId::from(8),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    let guard = Context::new().with_remote_span_context(context).attach();
    warn!("stored");
    drop(guard);
    flush(&telemetry).await;
    drop(capture);
    let records = records.0.lock().unwrap();
    assert_eq!(records.len(), 1);
    assert!(records[0].0.contains("stored"), "{records:?}");
    assert_eq!(records[0].1, Some(TraceId::from(7)));
}

async fn telemetry_with(builder: TelemetryBuilder) -> (Telemetry, TestCollector) {
    let collector = start_collector(&[]).await;
    let config = config(
        &collector,
        &[("OTEL_RESOURCE_ATTRIBUTES", "a=environment,b=environment")],
    );
    let telemetry = built(builder, config, Output::captured()).await;
    (telemetry, collector)
}

#[derive(Debug)]
struct Numbered;

impl IdGenerator for Numbered {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from(6)
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from(9)
    }
}

/// Adds an attribute to each span that starts.
#[derive(Debug)]
struct Stamp;

impl SpanProcessor for Stamp {
    fn on_start(&self, span: &mut opentelemetry_sdk::trace::Span, _: &Context) {
        span.set_attribute(KeyValue::new("stamp", 1));
    }

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[tokio::test]
async fn sampler_processors_and_id_generator_are_those_of_the_program() {
    let builder = Telemetry::builder(SERVICE)
        .id_generator(Numbered)
        .span_processor(Stamp);
    let (telemetry, collector) = telemetry_with(builder).await;
    end_span(&telemetry, "span");
    assert_eq!(flush(&telemetry).await.exported, 1);
    let span = &collector.spans().unwrap()[0];
    assert_eq!(span.trace_id, TraceId::from(6).to_string());
    assert_eq!(span.span_id, SpanId::from(9).to_string());
    assert!(span.attributes.contains_key("stamp"), "{span:?}");

    let builder = Telemetry::builder(SERVICE).sampler(Sampler::AlwaysOff);
    let (telemetry, _collector) = telemetry_with(builder).await;
    end_span(&telemetry, "span");
    assert_eq!(flush(&telemetry).await, FlushReport::default());
    assert!(!telemetry.samples_root(TraceId::from(6)));
}

/// A sampler, id generator and span processor that panics in every call.
#[derive(Debug, Clone)]
struct Panics;

impl ShouldSample for Panics {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[opentelemetry::trace::Link],
    ) -> SamplingResult {
        panic!("sampler")
    }
}

impl IdGenerator for Panics {
    fn new_trace_id(&self) -> TraceId {
        panic!("trace id")
    }

    fn new_span_id(&self) -> SpanId {
        panic!("span id")
    }
}

impl SpanProcessor for Panics {
    fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &Context) {
        panic!("start")
    }

    fn on_end(&self, _: SpanData) {
        panic!("end")
    }

    fn force_flush(&self) -> OTelSdkResult {
        panic!("flush")
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        panic!("shutdown")
    }
}

#[test]
fn panics_of_parts_are_logged_once_and_the_defaults_apply() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let lines = captured(|| {
        runtime.block_on(async {
            let builder = Telemetry::builder(SERVICE)
                .sampler(Panics)
                .id_generator(Panics)
                .span_processor(Panics)
                .span_processor(Stamp);
            let (telemetry, collector) = telemetry_with(builder).await;
            end_span(&telemetry, "first");
            end_span(&telemetry, "second");
            assert!(telemetry.samples_root(TraceId::from(6)));
            assert_eq!(flush(&telemetry).await.exported, 2);
            for span in collector.spans().unwrap() {
                assert_ne!(span.trace_id, TraceId::INVALID.to_string());
                assert!(span.attributes.contains_key("stamp"), "{span:?}");
            }
        });
    });
    let errors = lines.iter().filter(|line| line["level"] == "ERROR");
    let mut parts: Vec<&str> = errors
        .map(|line| {
            assert!(line["type_name"].as_str().unwrap().ends_with("::Panics"));
            line["part"].as_str().unwrap()
        })
        .collect();
    parts.sort_unstable();
    assert_eq!(parts, ["id generator", "sampler", "span processor"]);
}

#[tokio::test]
async fn processors_of_the_sdk_that_export_are_invalid() {
    let batch = BatchSpanProcessor::builder(Records::default()).build();
    let simple = SimpleSpanProcessor::new(Records::default());
    for builder in [
        Telemetry::builder(SERVICE).span_processor(batch),
        Telemetry::builder(SERVICE).span_processor(simple),
    ] {
        let error = builder.try_init().await.unwrap_err();
        assert!(
            matches!(error, InvalidExporter::Processor { .. }),
            "{error}"
        );
    }
}

impl SpanExporter for Records {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}

struct Detected;

impl ResourceDetector for Detected {
    fn detect(&self) -> Resource {
        let attributes = ["a", "c", "d"].map(|key| KeyValue::new(key, "detector"));
        // With the SDK's default of `service.name`.
        Resource::builder().with_attributes(attributes).build()
    }
}

#[tokio::test]
async fn the_programs_resource_overrides_the_environment_which_overrides_detectors() {
    let provided = ["b", "d"].map(|key| KeyValue::new(key, "program"));
    let provided = Resource::builder().with_attributes(provided).build();
    let builder = Telemetry::builder(SERVICE)
        .resource(provided)
        .resource_detector(&Detected);
    let (telemetry, collector) = telemetry_with(builder).await;
    end_span(&telemetry, "span");
    flush(&telemetry).await;
    let resource = resource_spans(&collector).remove(0).resource.unwrap();
    let value = |key: &str| {
        let mut found = resource.attributes.iter().filter(|entry| entry.key == key);
        let value = found.next().unwrap().value.clone().unwrap().value.unwrap();
        assert!(found.next().is_none(), "{key} is there twice");
        match value {
            any_value::Value::StringValue(text) => text,
            other => panic!("{other:?}"),
        }
    };
    for (key, expected) in [
        ("a", "environment"),
        ("b", "program"),
        ("c", "detector"),
        ("d", "program"),
        (SERVICE_NAME, "orders"),
    ] {
        assert_eq!(value(key), expected, "{key}");
    }
}

/// Keeps the names and the number of points of the metrics that it is given. Its first exports
/// follow a script.
#[derive(Clone)]
struct ScriptedMetrics {
    script: Vec<Action>,
    temporality: Temporality,
    calls: Arc<AtomicUsize>,
    metrics: Arc<Mutex<Vec<(String, u64)>>>,
}

impl ScriptedMetrics {
    fn new(script: &[Action], temporality: Temporality) -> Self {
        Self {
            script: script.to_vec(),
            temporality,
            calls: Arc::default(),
            metrics: Arc::default(),
        }
    }

    /// Returns the values of the counter `orders`, in the order of the exports.
    fn orders(&self) -> Vec<u64> {
        let metrics = self.metrics.lock().unwrap();
        let orders = metrics.iter().filter(|(name, _)| name == "orders");
        orders.map(|(_, value)| *value).collect()
    }
}

impl PushMetricExporter for ScriptedMetrics {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        assert!(Context::is_current_telemetry_suppressed());
        let call = self.calls.fetch_add(1, Relaxed);
        match self.script.get(call).copied().unwrap_or(Action::Accept) {
            Action::Accept => tokio::task::yield_now().await,
            Action::Hang => pending().await,
            Action::Panic => panic!("no reactor"),
            _ => return Err(OTelSdkError::InternalFailure("no".to_owned())),
        }
        let service = metrics.resource().get(&Key::from_static_str(SERVICE_NAME));
        assert_eq!(service.unwrap().to_string(), "orders");
        for metric in metrics.scope_metrics().flat_map(|scope| scope.metrics()) {
            let AggregatedMetrics::U64(MetricData::Sum(sum)) = metric.data() else {
                continue;
            };
            let value = sum.data_points().map(|point| point.value()).sum();
            let mut metrics = self.metrics.lock().unwrap();
            metrics.push((metric.name().to_owned(), value));
        }
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        self.temporality
    }
}

/// Returns telemetry that exports metrics with this exporter, and a counter.
async fn telemetry_with_metrics(exporter: &ScriptedMetrics) -> (Telemetry, Counter<u64>) {
    let builder = Telemetry::builder(SERVICE).metric_exporter(exporter.clone());
    let (telemetry, _collector) = telemetry_with(builder).await;
    let counter = telemetry
        .meter("test", "1.0.0")
        .u64_counter("orders")
        .build();
    (telemetry, counter)
}

#[tokio::test]
async fn metrics_are_exported_by_the_programs_exporter_and_none_twice() {
    for failure in [Action::Fail, Action::Hang, Action::Panic] {
        let exporter = ScriptedMetrics::new(&[Action::Accept, failure], Temporality::Delta);
        let (telemetry, orders) = telemetry_with_metrics(&exporter).await;
        for number in [1, 2, 4] {
            orders.add(number, &[]);
            let began = Instant::now();
            flush(&telemetry).await;
            assert!(
                began.elapsed() < BUDGET + Duration::from_millis(200),
                "{failure:?}"
            );
        }
        assert_eq!(exporter.orders(), [1, 2, 4], "{failure:?}");
        // Nothing new was measured.
        let calls = exporter.calls.load(Relaxed);
        flush(&telemetry).await;
        assert_eq!(exporter.calls.load(Relaxed), calls);
    }
}

#[test]
fn a_callback_that_panics_is_logged_once_and_the_other_metrics_are_exported() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let lines = captured(|| {
        runtime.block_on(async {
            let exporter = ScriptedMetrics::new(&[], Temporality::Delta);
            let (telemetry, orders) = telemetry_with_metrics(&exporter).await;
            let meter = telemetry.meter("test", "1.0.0");
            let gauge = meter.u64_observable_gauge("stock");
            gauge.with_callback(|_| panic!("no stock")).build();
            let observable = meter.u64_observable_counter("orders");
            let observable = observable.with_callback(|observer| observer.observe(9, &[]));
            observable.build();
            for number in [1, 2] {
                orders.add(number, &[]);
                flush(&telemetry).await;
            }
            assert!(exporter.orders().contains(&1), "{:?}", exporter.orders());
            assert!(exporter.orders().contains(&2), "{:?}", exporter.orders());
            assert!(exporter.orders().contains(&9), "{:?}", exporter.orders());
        });
    });
    let errors: Vec<_> = { lines.iter() }
        .filter(|line| line["level"] == "ERROR")
        .collect();
    assert_eq!(errors.len(), 1, "{lines:?}");
    assert_eq!(errors[0]["instrument"], "stock");
    assert_eq!(errors[0]["panic"], "no stock");
}

#[tokio::test]
async fn a_cumulative_collection_that_failed_is_not_exported_again() {
    let exporter = ScriptedMetrics::new(&[Action::Fail], Temporality::Cumulative);
    let (telemetry, orders) = telemetry_with_metrics(&exporter).await;
    for number in [1, 2] {
        orders.add(number, &[]);
        flush(&telemetry).await;
    }
    assert_eq!(exporter.orders(), [3]);
}

#[tokio::test]
async fn metrics_that_were_not_accepted_at_shutdown_are_counted_as_dropped() {
    let exporter = ScriptedMetrics::new(&[Action::Fail; 9], Temporality::Delta);
    let (telemetry, orders) = telemetry_with_metrics(&exporter).await;
    orders.add(1, &[]);
    telemetry.shutdown(Instant::now() + BUDGET).await;
    let pipeline = telemetry.inner.pipeline.sdk_pipeline.as_ref();
    assert_eq!(pipeline.unwrap().dropped(), 1);
}

/// A processor whose `force_flush` blocks for this long.
#[derive(Debug, Clone)]
struct SlowProcessor {
    time: Duration,
    flushes: Arc<AtomicUsize>,
}

impl SpanProcessor for SlowProcessor {
    fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &Context) {}

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        self.flushes.fetch_add(1, Relaxed);
        std::thread::sleep(self.time);
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn from_providers(time: Duration) -> (Telemetry, SlowProcessor) {
    let processor = SlowProcessor {
        time,
        flushes: Arc::default(),
    };
    (from_providers_with(processor.clone()), processor)
}

fn from_providers_with(processor: impl SpanProcessor + 'static) -> Telemetry {
    let tracer = SdkTracerProvider::builder().with_span_processor(processor);
    let meter = SdkMeterProvider::builder().build();
    let logger = SdkLoggerProvider::builder().build();
    let providers = ProgramProviders::new(tracer.build(), meter.clone(), logger);
    let (config, _) = TelemetryConfig::from_lookup(&|_| None);
    let tracer = SdkTracerProvider::builder().build();
    let pipeline: Box<dyn SdkPipeline> = Box::new(providers);
    let meters = AnyMeterProvider::new(meter);
    Telemetry::without_buffers(config, Some(tracer), meters, Some(pipeline))
}

/// A processor whose `force_flush` panics.
#[derive(Debug)]
struct PanicsInFlush;

impl SpanProcessor for PanicsInFlush {
    fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &Context) {}

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        panic!("no reactor")
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[test]
fn the_warning_about_a_provider_that_panics_contains_the_message_of_the_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let lines = captured(|| {
        runtime.block_on(async {
            let telemetry = from_providers_with(PanicsInFlush);
            telemetry.flush(Instant::now() + BUDGET).await;
        });
    });
    let lines = serde_json::to_string(&lines).unwrap();
    assert!(lines.contains("panicked: no reactor"), "{lines}");
}

#[tokio::test]
async fn a_flush_of_providers_ends_at_its_deadline_and_leaves_one_thread() {
    let (telemetry, processor) = from_providers(Duration::from_millis(700));
    let began = Instant::now();
    for _ in 0..3 {
        let report = telemetry
            .flush(Instant::now() + Duration::from_millis(100))
            .await;
        let expected = FlushReport {
            timed_out: true,
            ..FlushReport::default()
        };
        assert_eq!(report, expected);
    }
    let took = began.elapsed();
    assert!(
        (Duration::from_millis(300)..Duration::from_millis(600)).contains(&took),
        "{took:?}"
    );
    // The later flushes have waited for the thread of the first.
    assert_eq!(processor.flushes.load(Relaxed), 1);
    telemetry
        .flush(Instant::now() + Duration::from_secs(9))
        .await;
    assert_eq!(processor.flushes.load(Relaxed), 2);
}

#[tokio::test]
async fn providers_are_flushed_when_an_export_is_due() {
    let (telemetry, processor) = from_providers(Duration::ZERO);
    assert!(telemetry.inner.pipeline.exports_anything());
    telemetry.flush(Instant::now() + BUDGET).await;
    assert_eq!(processor.flushes.load(Relaxed), 1);
}
