//! The telemetry of a process: set-up, flushes and shutdown.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::global::BoxedTracer;
use opentelemetry::metrics::noop::NoopMeterProvider;
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::trace::noop::NoopTracer;
use opentelemetry::trace::{SpanKind, TraceId, TracerProvider as _};
use opentelemetry::{Context, InstrumentationScope, Key, KeyValue, global};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{SamplingDecision, SdkTracerProvider, ShouldSample, SpanLimits};
use opentelemetry_semantic_conventions::SCHEMA_URL;
use opentelemetry_semantic_conventions::attribute::{DEPLOYMENT_ENVIRONMENT_NAME, SERVICE_NAME};
use tokio::time::{Instant, sleep};
use tracing::warn;

use self::background::{BackgroundExport, Intervals};
use self::logs::LogExport;
use self::meters::AnyMeterProvider;
use self::pipeline::ExportPipeline;
use self::program::{Exporters, ProgramParts};
use self::providers::ProgramProviders;
use crate::buffer::{Buffer, Counts, FlushGroup, Group, Selection, SpanBuffer};
use crate::config::{ExporterConfig, TelemetryConfig};
use crate::export::collector::{BREAKER_PAUSE, Destination};
use crate::export::headers::{self, FetchedHeaders};
use crate::export::sdk_exporter::SdkPipeline;
use crate::export::{
    Dimensions, EmbeddedMetrics, ExportCounts, Exporter, InvalidExporter, LossReporter,
};
#[cfg(feature = "tracing")]
use crate::logs::{FilterCheck, SubscriberWarnings};
use crate::metrics::Metrics;
use crate::otlp::Signal;
use crate::output::Output;
use crate::propagation::{AdditionalPropagators, Propagator};
use crate::resource::{self, ServiceInfo};

mod background;
mod builder;
mod guarded;
mod logs;
mod meters;
mod pipeline;
mod program;
mod providers;
mod start;

pub use builder::TelemetryBuilder;

/// Counts of spans after a flush, since the start of the process, and what the flush has sent.
///
/// `finished = exported + spilled + dropped + pending` at every moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlushReport {
    /// Sampled spans that have ended.
    pub finished: u64,
    /// Spans that the collector acknowledged.
    pub exported: u64,
    /// Spans that were written to stdout for `baton replay`, because the collector did not
    /// acknowledge them. It may have accepted some of them without responding in time.
    pub spilled: u64,
    /// Spans that were lost, because the buffer was full or the collector rejected them in a
    /// partial success. With `BATON_SPILL=none`, also those of permanently rejected requests.
    pub dropped: u64,
    /// Spans that the next flush will send.
    pub pending: u64,
    /// Finished spans that another flush had to send because their
    /// [`FlushGroup`](crate::FlushGroup) had ended.
    pub late: u64,
    /// Spans, requests and bytes that this flush sent itself.
    pub sent: ExportCounts,
    /// `true` if the time for this flush ran out, usually because the collector did not respond.
    /// The time that is reserved for writing spans to stdout is not part of it.
    pub timed_out: bool,
}

/// The telemetry of a process. Clones share it.
///
/// ```no_run
/// use std::time::Duration;
///
/// use baton_telemetry::{ServiceInfo, Telemetry};
/// use tokio::time::Instant;
///
/// # async fn run() {
/// let service = ServiceInfo { name: "orders", version: None };
/// let telemetry = Telemetry::init(service).await;
/// telemetry.export_in_background();
/// // … serve requests …
/// telemetry.shutdown(Instant::now() + Duration::from_secs(5)).await;
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Telemetry {
    inner: Arc<TelemetryInner>,
}

#[derive(Debug)]
struct TelemetryInner {
    /// `None` if `OTEL_SDK_DISABLED` is `true`.
    provider: Option<SdkTracerProvider>,
    meters: AnyMeterProvider,
    propagator: Propagator,
    sampler: Box<dyn ShouldSample>,
    pipeline: Arc<ExportPipeline>,
    intervals: Intervals,
    background: Mutex<Option<BackgroundExport>>,
    /// `None` unless the program provides parts.
    parts: Option<Box<dyn ProgramParts>>,
}

impl Telemetry {
    /// Reads `OTEL_*` and initialises the process's telemetry: log lines on stdout, and the
    /// [`Propagator`](crate::Propagator), the tracer provider and, if metrics are exported, the
    /// meter provider as OpenTelemetry's globals. A `tracing` subscriber that the program already
    /// has is kept, and a warning names the layers that it lacks: [`log_layer`](crate::log_layer)
    /// or `tracing_layer`.
    ///
    /// Never fails: an invalid variable is logged with its name and the expected form, and the
    /// default applies or the signal is not exported. Call this once, at start, within a tokio
    /// runtime. Nothing is sent before the first flush.
    pub async fn init(service: ServiceInfo) -> Self {
        Self::builder(service).init().await
    }

    /// Returns a builder for telemetry with options that the environment does not have.
    pub fn builder(service: ServiceInfo) -> TelemetryBuilder {
        TelemetryBuilder::new(service)
    }

    /// Returns the reason why an exporter or span processor that the program provides is invalid:
    /// it would block or panic in a flush, so nothing is exported. [`TelemetryBuilder::try_init`]
    /// returns it as an error.
    #[must_use]
    pub fn invalid_exporter(&self) -> Option<&InvalidExporter> {
        self.inner.parts.as_deref()?.invalid()
    }

    async fn set_up(builder: TelemetryBuilder) -> Self {
        let TelemetryBuilder {
            service,
            open_header_source,
            mut parts,
        } = builder;
        let (mut config, problems) = TelemetryConfig::from_env();
        if let Some(parts) = &mut parts {
            parts.apply_to(&mut config);
        }
        let log_buffer = config.log_buffer();
        crate::logs::install(&config, log_buffer.clone());
        for problem in &problems {
            warn!(
                variable = problem.variable,
                "invalid configuration: {problem}"
            );
        }
        let fetched_headers = headers::open(&config, open_header_source);
        let add_detected = |attributes: &mut Vec<KeyValue>| add_detected(&parts, attributes);
        let (resource, ()) = tokio::join!(
            resource::detect(&config, service, &add_detected),
            headers::fetch_first(fetched_headers.as_deref())
        );
        let resource = match &parts {
            Some(parts) => parts.merge_resource(resource),
            None => resource,
        };
        start::log(&config, &resource);
        if let Some(parts) = &parts {
            parts.log_invalid();
        }
        let telemetry = Self::new(
            &config,
            parts,
            resource,
            log_buffer,
            fetched_headers.as_ref(),
            Output::default(),
        );
        match &telemetry.inner.parts {
            Some(parts) => parts.set_global_propagator(config.propagator),
            None => global::set_text_map_propagator(config.propagator),
        }
        // Without a provider, OpenTelemetry's global tracers do nothing.
        if let Some(provider) = &telemetry.inner.provider {
            global::set_tracer_provider(provider.clone());
        }
        if let Some(metrics) = &telemetry.inner.pipeline.metrics {
            global::set_meter_provider(metrics.meters().clone());
        }
        if let Some(sdk_pipeline) = &telemetry.inner.pipeline.sdk_pipeline {
            sdk_pipeline.set_global();
        }
        telemetry
    }

    fn new(
        config: &TelemetryConfig,
        mut parts: Option<Box<dyn ProgramParts>>,
        resource: Resource,
        log_buffer: Option<Buffer>,
        fetched_headers: Option<&Arc<FetchedHeaders>>,
        output: Output,
    ) -> Self {
        let buffer = SpanBuffer::new(config.bounds);
        let (mut exporters, metrics) = create_exporters(
            config,
            &resource,
            log_buffer.as_ref(),
            fetched_headers,
            &output,
        );
        if let Some(parts) = &mut parts {
            parts.install_exporters(&mut exporters, config, &resource, log_buffer, &output);
        }
        let embedded_metrics = EmbeddedMetrics::new(dimensions(&resource), output.clone());
        #[cfg(feature = "tracing")]
        let filter_check = FilterCheck::new(SubscriberWarnings::new(config.log_format, output));
        let processor = exporters.exporter.is_some().then(|| buffer.clone());
        let inner = TelemetryInner {
            provider: build_provider(config, resource, parts.as_deref_mut(), processor),
            meters: exporters.meters,
            propagator: config.propagator,
            sampler: config.sampler.sampler.clone(),
            pipeline: Arc::new(ExportPipeline {
                buffer,
                exporter: exporters.exporter,
                metrics,
                logs: exporters.logs,
                sdk_pipeline: exporters.sdk_pipeline,
                embedded_metrics,
                loss_reporter: LossReporter::default(),
                ungrouped_flush: Mutex::default(),
                #[cfg(feature = "tracing")]
                filter_check,
            }),
            intervals: Intervals::new(config),
            background: Mutex::default(),
            parts,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Creates telemetry for tests, with a tracer provider that captures the spans. Nothing is
    /// exported, no global is set, and the environment is ignored.
    #[must_use]
    pub fn captured(provider: SdkTracerProvider) -> Self {
        Self::captured_with_meters(provider, NoopMeterProvider::new())
    }

    /// Creates telemetry for tests, with a tracer provider and a meter provider that capture spans
    /// and metrics.
    #[must_use]
    pub fn captured_with_meters(
        provider: SdkTracerProvider,
        meters: impl MeterProvider + Send + Sync + 'static,
    ) -> Self {
        let (config, _) = TelemetryConfig::from_lookup(&|_| None);
        let meters = AnyMeterProvider::new(meters);
        Self::without_buffers(config, Some(provider), meters, None)
    }

    /// Creates telemetry whose spans are not buffered by this crate.
    fn without_buffers(
        config: TelemetryConfig,
        provider: Option<SdkTracerProvider>,
        meters: AnyMeterProvider,
        sdk_pipeline: Option<Box<dyn SdkPipeline>>,
    ) -> Self {
        let dimensions = resource::configured_dimensions(&config);
        let pipeline = ExportPipeline {
            buffer: SpanBuffer::new(config.bounds),
            exporter: None,
            metrics: None,
            logs: None,
            sdk_pipeline,
            embedded_metrics: EmbeddedMetrics::new(dimensions, Output::default()),
            loss_reporter: LossReporter::default(),
            ungrouped_flush: Mutex::default(),
            #[cfg(feature = "tracing")]
            filter_check: FilterCheck::new(SubscriberWarnings::new(
                config.log_format,
                Output::default(),
            )),
        };
        let inner = TelemetryInner {
            provider,
            meters,
            intervals: Intervals::new(&config),
            propagator: config.propagator,
            sampler: config.sampler.sampler,
            pipeline: Arc::new(pipeline),
            background: Mutex::default(),
            parts: None,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Creates telemetry from providers that the program has set up, with their processors and
    /// exporters. Use it only if the exporter cannot be given to
    /// [`TelemetryBuilder::span_exporter`].
    ///
    /// Sets OpenTelemetry's globals, and installs the log lines as [`init`](Self::init) does. Log
    /// records reach `logger` only through a bridge in the program's own subscriber, such as
    /// `opentelemetry-appender-tracing`.
    ///
    /// A flush calls `force_flush` of each provider on a thread and waits for it until the deadline
    /// of the flush. The following is not covered:
    ///
    /// - **Counts and spilling.** [`FlushReport`] is empty. Spans that are not exported are lost;
    ///   only a warning states that the flush failed or timed out.
    /// - **The thread of a flush that times out.** It continues until the exporter's timeout,
    ///   usually ten seconds; `SdkMeterProvider::force_flush` has no limit at all. Lambda freezes
    ///   the thread in the middle of its work. A later flush first waits for it, so that there are
    ///   at most three such threads.
    /// - **The circuit breaker.** Each flush to a collector that hangs takes its whole time limit.
    /// - **[`samples_root`](Self::samples_root)**, because a provider does not expose its sampler.
    ///   The sampler of `OTEL_TRACES_SAMPLER` decides, which is also the provider's default.
    /// - **[`FlushGroup`].** Each flush exports everything.
    /// - **The metrics about telemetry itself.**
    ///
    /// The telemetry never drops the providers: the drop of a provider whose processor needs the
    /// runtime never returns on the runtime's only thread. The program must keep its clones until
    /// the end of the process, and must not call `force_flush` or `shutdown` on the runtime's
    /// thread.
    ///
    /// These set-ups work: `BatchSpanProcessor` with a blocking client or with tonic, and the
    /// processor of `rt-tokio` or `rt-tokio-current-thread` with an asynchronous client. **With
    /// `BatchSpanProcessor` and hyper or an asynchronous reqwest every span is lost**, because the
    /// thread of that processor has no reactor.
    ///
    /// With `OTEL_SDK_DISABLED=true` the providers are not used, and no global provider is set.
    ///
    /// Call this within a tokio runtime.
    #[must_use]
    pub fn from_providers(
        tracer: SdkTracerProvider,
        meter: SdkMeterProvider,
        logger: SdkLoggerProvider,
    ) -> Self {
        let (mut config, problems) = TelemetryConfig::from_env();
        if !config.is_disabled {
            config.traces = ExporterConfig::Sdk("SdkTracerProvider");
            config.metrics = ExporterConfig::Sdk("SdkMeterProvider");
            config.logs = ExporterConfig::Sdk("SdkLoggerProvider");
        }
        crate::logs::install(&config, None);
        for problem in &problems {
            warn!(
                variable = problem.variable,
                "invalid configuration: {problem}"
            );
        }
        start::log(&config, &Resource::builder_empty().build());
        global::set_text_map_propagator(config.propagator);
        let providers = ProgramProviders::new(tracer.clone(), meter.clone(), logger);
        if config.is_disabled {
            return Self::without_buffers(config, None, AnyMeterProvider::noop(), None);
        }
        providers.set_global();
        let meters = AnyMeterProvider::new(meter);
        Self::without_buffers(config, Some(tracer), meters, Some(Box::new(providers)))
    }

    /// Returns a tracer for the instrumentation scope with this name and version: usually those of
    /// the crate that creates the spans.
    ///
    /// With `OTEL_SDK_DISABLED=true` it is OpenTelemetry's no-op tracer: its spans record nothing,
    /// and have the context of their parent, so that the trace of the caller continues in the
    /// service that is called next.
    #[must_use]
    pub fn tracer(&self, name: &'static str, version: &'static str) -> BoxedTracer {
        BoxedTracer::new(match &self.inner.provider {
            Some(provider) => Box::new(provider.tracer_with_scope(scope(name, version))),
            None => Box::new(NoopTracer::new()),
        })
    }

    /// Returns a meter for the instrumentation scope with this name and version. Flushes export its
    /// metrics. If metrics are not exported, its instruments do nothing.
    #[must_use]
    pub fn meter(&self, name: &'static str, version: &'static str) -> Meter {
        self.inner.meters.meter_with_scope(scope(name, version))
    }

    /// Returns the propagator that `OTEL_PROPAGATORS` selects, which is also OpenTelemetry's global
    /// propagator.
    #[must_use]
    pub fn propagator(&self) -> Propagator {
        self.inner.propagator
    }

    /// Returns the propagators that the program provides. They are used where
    /// [`propagator`](Self::propagator) finds no trace context. The global propagator includes
    /// both.
    #[must_use]
    pub fn additional_propagators(&self) -> Option<AdditionalPropagators> {
        self.inner.parts.as_ref()?.propagators().cloned()
    }

    /// Returns `true` if the sampler would sample a consumer span that starts a trace with this id.
    /// It is the sampler that the program provides, or that of `OTEL_TRACES_SAMPLER`. Always
    /// `false` with `OTEL_SDK_DISABLED=true`.
    ///
    /// For a parent without a sampling decision, see
    /// [`XrayContext::into_parent`](crate::XrayContext::into_parent).
    #[must_use]
    pub fn samples_root(&self, trace_id: TraceId) -> bool {
        let sampler = &self.inner.sampler;
        let result = sampler.should_sample(None, trace_id, "", &SpanKind::Consumer, &[], &[]);
        self.inner.provider.is_some() && result.decision == SamplingDecision::RecordAndSample
    }

    /// Writes durations to stdout as values of the CloudWatch metric `metric`, in milliseconds: one
    /// line for every 100 values, in [CloudWatch's embedded metric format][format]. The namespace
    /// is `Baton`. The dimensions are `ServiceName` (`service.name`) and, if it is set,
    /// `Environment` (`deployment.environment.name`). CloudWatch computes percentiles of the
    /// metric, so that an alarm on them does not depend on a collector.
    ///
    /// AWS charges for the custom metric and for the lines. Lambda discards the lines if the
    /// function's application log level is above INFO.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn report(telemetry: &baton_telemetry::Telemetry) {
    /// let durations = [Duration::from_millis(120), Duration::from_millis(125)];
    /// telemetry.write_cloudwatch_durations("QueueLatency", &durations);
    /// # }
    /// ```
    ///
    /// [format]: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    pub fn write_cloudwatch_durations(&self, metric: &str, durations: &[Duration]) {
        let output = &self.inner.pipeline.embedded_metrics;
        output.write_durations(metric, durations);
    }

    /// Exports every span that has ended, and returns at `deadline` at the latest, however the
    /// collector behaves.
    ///
    /// Spans that the collector does not accept are written to stdout, where `baton replay` finds
    /// them. With `BATON_SPILL=none` they stay in the buffer for the next flush, except for those
    /// of requests that the collector rejects because of their content (a status such as 400, 413
    /// or 500), which are dropped. After repeated failures the circuit breaker opens, and the
    /// collector is not contacted for a while. The outcome is logged at debug level, a failure as a
    /// warning. A flush that starts while another one runs waits until the other's spans are
    /// exported, spilled, dropped or returned to the buffer.
    pub async fn flush(&self, deadline: Instant) -> FlushReport {
        self.inner.pipeline.flush(Selection::All, deadline).await
    }

    /// Creates a group for the spans of one invocation, for processes that run several at the same
    /// time. It costs one allocation.
    #[must_use]
    pub fn flush_group(&self) -> FlushGroup {
        FlushGroup::new()
    }

    /// Exports the ended spans of the [group](FlushGroup) in `context` as [`flush`](Self::flush)
    /// does for all spans, without sending or waiting for the spans of other groups. Without a
    /// group in the context, it flushes all spans.
    ///
    /// Such flushes run concurrently. Each waits for spans of its group that another flush has in
    /// flight. If the collector accepts the group's spans, a task in the background then exports
    /// the spans that no other flush will export, because their group has ended or they have none,
    /// and all spans if the buffer is still half full. If the collector does not accept them, the
    /// same spans are written to stdout. The report counts the spans of the whole process.
    pub async fn flush_context_group(&self, context: &Context, deadline: Instant) -> FlushReport {
        let group = Group::from_context(context);
        let selection = group.map_or(Selection::All, Selection::Group);
        self.inner.pipeline.flush(selection, deadline).await
    }

    /// Completes when spans should be exported although more are to come: `OTEL_BSP_SCHEDULE_DELAY`
    /// (5 s) after the call, or when a buffer has become half full. Never completes if nothing is
    /// exported.
    pub async fn export_due(&self) {
        let TelemetryInner {
            pipeline,
            intervals,
            ..
        } = &*self.inner;
        if !pipeline.exports_anything() {
            return std::future::pending().await;
        }
        tokio::select! {
            () = pipeline.buffer.half_full() => {}
            () = logs::half_full(pipeline.logs.as_ref()) => {}
            () = sleep(intervals.records) => {}
        }
    }

    /// Starts a task that exports in the background, for services that run all the time. A Lambda
    /// function flushes instead. Does nothing if the task is already running.
    ///
    /// Spans and log records are exported every `OTEL_BSP_SCHEDULE_DELAY` (5 s), and sooner if a
    /// buffer is half full; metrics every `OTEL_METRIC_EXPORT_INTERVAL` (60 s). Spans that the
    /// collector does not accept stay in the buffer for the next export, and are written to stdout
    /// only when they fill half of it.
    pub fn export_in_background(&self) {
        let TelemetryInner {
            pipeline,
            intervals,
            background,
            ..
        } = &*self.inner;
        let mut background = lock(background);
        if background.is_none() && pipeline.exports_anything() {
            *background = Some(BackgroundExport::start(Arc::clone(pipeline), *intervals));
        }
    }

    /// Stops the background task and exports everything that is pending, by `deadline` at the
    /// latest.
    ///
    /// Waits until the deadline for spans that other flushes have in flight, and then writes them
    /// to stdout together with those that the collector does not accept. Afterwards nothing is
    /// pending. What is not written (metrics, log records and, with `BATON_SPILL=none`, spans) is
    /// dropped and counted. Writing may exceed the deadline a little, because the process has no
    /// second chance.
    pub async fn shutdown(&self, deadline: Instant) -> FlushReport {
        let background_task = lock(&self.inner.background)
            .take()
            .map(BackgroundExport::stop);
        self.inner
            .pipeline
            .shutdown(background_task, deadline)
            .await
    }

    /// Writes to stdout the ended spans that have not been exported, for a process that is about to
    /// abort and cannot await anything. Does nothing if `BATON_SPILL` is `none`. In all other cases
    /// use [`shutdown`](Self::shutdown).
    pub fn spill_pending(&self) {
        let pipeline = &self.inner.pipeline;
        pipeline.spill(Selection::All, Instant::now() + SPILL_BEFORE_ABORT);
        pipeline.report_counts(false);
    }
}

/// Returns the output of spans that are not accepted, and its line length, if they are spilled.
fn spill(config: &TelemetryConfig, output: &Output) -> Option<(Output, usize)> {
    config
        .spill
        .then(|| (output.clone(), config.spill_line_bytes))
}

/// Adds the attributes that resource detectors of the program have found.
fn add_detected(parts: &Option<Box<dyn ProgramParts>>, attributes: &mut Vec<KeyValue>) {
    if let Some(parts) = parts {
        parts.add_detected(attributes);
    }
}

fn scope(name: &'static str, version: &'static str) -> InstrumentationScope {
    InstrumentationScope::builder(name)
        .with_version(version)
        .with_schema_url(SCHEMA_URL)
        .build()
}

/// Creates the exporters of the configuration. The program may then replace them with its own.
fn create_exporters(
    config: &TelemetryConfig,
    resource: &Resource,
    log_buffer: Option<&Buffer>,
    fetched_headers: Option<&Arc<FetchedHeaders>>,
    output: &Output,
) -> (Exporters, Option<Metrics>) {
    let destination = |signal, exporter| {
        Destination::new(signal, exporter, fetched_headers, BREAKER_PAUSE, output)
    };
    let exporter = destination(Signal::Traces, &config.traces);
    let exporter = exporter.map(|destination| {
        Exporter::new(Signal::Traces, destination, resource, spill(config, output))
    });
    let metrics = destination(Signal::Metrics, &config.metrics);
    let metrics = metrics.map(|destination| {
        let (temporality, max_bytes) = (config.temporality, config.metric_buffer_bytes);
        Metrics::new(destination, resource, temporality, max_bytes)
    });
    let logs = destination(Signal::Logs, &config.logs);
    let logs = log_buffer.zip(logs);
    let logs =
        logs.map(|(buffer, destination)| LogExport::new(buffer.clone(), destination, resource));
    let exporters = Exporters {
        meters: AnyMeterProvider::from_metrics(metrics.as_ref()),
        exporter,
        logs,
        sdk_pipeline: None,
    };
    (exporters, metrics)
}

/// Builds the tracer provider, unless the SDK is disabled. Without an exporter there is no
/// processor, but spans are made: a process that exports nothing must not change the sampling
/// decision in the contexts that it propagates.
fn build_provider(
    config: &TelemetryConfig,
    resource: Resource,
    parts: Option<&mut (dyn ProgramParts + 'static)>,
    processor: Option<SpanBuffer>,
) -> Option<SdkTracerProvider> {
    if config.is_disabled {
        return None;
    }
    let mut provider = SdkTracerProvider::builder()
        .with_span_limits(span_limits(config))
        .with_resource(resource)
        .with_sampler(config.sampler.sampler.clone());
    if let Some(parts) = parts {
        provider = parts.configure(provider);
    }
    if let Some(processor) = processor {
        provider = provider.with_span_processor(processor);
    }
    Some(provider.build())
}

fn span_limits(config: &TelemetryConfig) -> SpanLimits {
    SpanLimits {
        max_attributes_per_span: config.limits.attributes,
        max_events_per_span: config.limits.events,
        max_links_per_span: config.limits.links,
        ..SpanLimits::default()
    }
}

fn dimensions(resource: &Resource) -> Dimensions {
    let attribute = |name| {
        let value = resource.get(&Key::from_static_str(name))?;
        Some(value.to_string())
    };
    Dimensions {
        service: attribute(SERVICE_NAME).unwrap_or_default(),
        environment: attribute(DEPLOYMENT_ENVIRONMENT_NAME),
    }
}

fn lock<T>(task: &Mutex<Option<T>>) -> MutexGuard<'_, Option<T>> {
    task.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Time limit of [`Telemetry::spill_pending`]: a full pipe must not keep a failed process alive.
const SPILL_BEFORE_ABORT: Duration = Duration::from_secs(1);

impl From<Counts> for FlushReport {
    fn from(counts: Counts) -> Self {
        Self {
            finished: counts.finished,
            exported: counts.exported,
            spilled: counts.spilled,
            dropped: counts.dropped,
            pending: counts.pending,
            late: counts.late,
            sent: ExportCounts::default(),
            timed_out: false,
        }
    }
}

#[cfg(test)]
mod tests;
