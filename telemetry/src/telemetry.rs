//! The process's telemetry: set up once, flushed often.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use builder::Builder;
use opentelemetry::metrics::Meter;
use opentelemetry::trace::{SpanKind, TraceId, TracerProvider as _};
use opentelemetry::{InstrumentationScope, Key, global};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    Sampler, SamplingDecision, SdkTracer, SdkTracerProvider, ShouldSample as _, SpanLimits,
};
use opentelemetry_semantic_conventions::SCHEMA_URL;
use opentelemetry_semantic_conventions::attribute::SERVICE_NAME;
use tokio::task::JoinHandle;
use tracing::warn;

use self::background::Background;
use self::logs::LogExport;
use self::meters::AnyMeters;
use crate::buffer::{Buffer, Counts, SpanBuffer};
use crate::config::Config;
use crate::export::collector::Destination;
use crate::export::headers::{self, FetchedHeaders, OpenHeaderSource};
use crate::export::{Exporter, LossReporter, Sent};
#[cfg(feature = "tracing")]
use crate::logs::FilterCheck;
#[cfg(feature = "tracing")]
use crate::logs::SubscriberWarnings;
use crate::metrics::Metrics;
use crate::otlp::Signal;
use crate::output::Output;
use crate::propagation::Propagator;
use crate::resource;

/// What the service is called when the environment does not say.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// `service.name` unless Lambda, `OTEL_RESOURCE_ATTRIBUTES` or `OTEL_SERVICE_NAME` names
    /// another.
    pub name: &'static str,
    /// `service.version`, usually `Some(env!("CARGO_PKG_VERSION"))`.
    pub version: Option<&'static str>,
}

/// What one flush left behind, in spans, counted over the life of the process, and what it sent
/// itself.
///
/// `finished = exported + spilled + dropped + pending` at every moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlushReport {
    /// Sampled spans that have ended.
    pub finished: u64,
    /// Spans that the collector acknowledged.
    pub exported: u64,
    /// Spans that the collector did not take and that were written to stdout, where `baton replay`
    /// finds them. One that the collector may have taken without an answer in time is among them.
    pub spilled: u64,
    /// Spans that found the buffer full, or that the collector rejected without saying which they
    /// are; with `BATON_SPILL=none`, also those of requests that it refused for good.
    pub dropped: u64,
    /// Spans that go with the next flush.
    pub pending: u64,
    /// Of the finished spans, those that a later flush had to take because their
    /// [`FlushGroup`](crate::FlushGroup) was over.
    pub late: u64,
    /// What this flush sent by itself.
    pub sent: Sent,
}

/// The process's telemetry. Clones share it.
#[derive(Debug, Clone)]
pub struct Telemetry {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    provider: SdkTracerProvider,
    buffer: SpanBuffer,
    /// `None` when nothing is exported; spans are not even kept then.
    exporter: Option<Exporter>,
    meters: AnyMeters,
    /// `None` when no metrics are exported; nothing is aggregated then.
    metrics: Option<Metrics>,
    /// `None` when log records are not exported.
    logs: Option<LogExport>,
    propagator: Propagator,
    sampler: Sampler,
    schedule_delay: Duration,
    /// How often a service that does not freeze exports its metrics.
    metric_interval: Duration,
    background: Mutex<Option<Background>>,
    /// What sends strays, the last time that there were any.
    ungrouped_flush: Mutex<Option<JoinHandle<()>>>,
    loss_reporter: LossReporter,
    #[cfg(feature = "tracing")]
    filter_check: FilterCheck,
}

impl Shared {
    fn exports_anything(&self) -> bool {
        self.exporter.is_some() || self.metrics.is_some() || self.logs.is_some()
    }
}

impl Telemetry {
    /// Reads `OTEL_*` and initialises the process's telemetry: JSON logs on stdout (if the program
    /// already has a `tracing` subscriber, that one is kept and a warning names the layers that it
    /// lacks, [`log_layer`](crate::log_layer) or `tracing_layer`), the
    /// [`Propagator`](crate::Propagator) and the tracer provider as OpenTelemetry's globals.
    ///
    /// Never fails: what is wrong in the environment is one line in the log, naming the variable
    /// and the form expected, and then the default or no export. To be called once, at start, from
    /// within a tokio runtime; nothing is sent before the first flush.
    pub async fn init(service: Service) -> Self {
        Self::builder(service).init().await
    }

    /// The same, with more to be said before.
    pub fn builder(service: Service) -> Builder {
        Builder::new(service)
    }

    async fn set_up(service: Service, open: Option<OpenHeaderSource>) -> Self {
        let (config, problems) = Config::from_env();
        let log_buffer = config.log_buffer();
        crate::logs::install(&config, log_buffer.clone());
        for problem in &problems {
            warn!(
                variable = problem.variable,
                "configuration ignored: {problem}"
            );
        }
        let fetched_headers = headers::open(&config, open);
        let (resource, ()) = tokio::join!(
            resource::detect(&config, service),
            headers::fetch_first(fetched_headers.as_deref())
        );
        start::log(&config, &resource);
        let telemetry = Self::new(
            &config,
            resource,
            log_buffer,
            fetched_headers.as_ref(),
            Output::default(),
        );
        global::set_text_map_propagator(config.propagator);
        global::set_tracer_provider(telemetry.shared.provider.clone());
        if let Some(metrics) = &telemetry.shared.metrics {
            global::set_meter_provider(metrics.meters().clone());
        }
        telemetry
    }

    fn new(
        config: &Config,
        resource: Resource,
        log_buffer: Option<Buffer>,
        fetched_headers: Option<&Arc<FetchedHeaders>>,
        output: Output,
    ) -> Self {
        let buffer = SpanBuffer::new(config.bounds);
        let destination = |signal, export| {
            Destination::new(signal, export, fetched_headers, BREAKER_PAUSE, &output)
        };
        let exporter = destination(Signal::Traces, &config.traces).map(|destination| {
            let spill = config
                .spill
                .then(|| (output.clone(), config.spill_line_bytes));
            Exporter::new(Signal::Traces, destination, &resource, spill)
        });
        let metrics = destination(Signal::Metrics, &config.metrics);
        let metrics = metrics.map(|destination| {
            let (temporality, max_bytes) = (config.temporality, config.metric_buffer_bytes);
            Metrics::new(destination, &resource, temporality, max_bytes)
        });
        let logs = log_buffer.zip(destination(Signal::Logs, &config.logs));
        let logs = logs.map(|(buffer, destination)| LogExport::new(buffer, destination, &resource));
        let loss_reporter = LossReporter::new(service_name(&resource), output.clone());
        #[cfg(feature = "tracing")]
        let filter_check = FilterCheck::new(SubscriberWarnings::new(config.log_format, output));
        let mut provider = SdkTracerProvider::builder()
            .with_span_limits(span_limits(config))
            .with_resource(resource)
            .with_sampler(config.sampler.sampler.clone());
        // Also where nothing is exported, others' traces pass through: the sampling decision they
        // carry is not ours to change.
        if exporter.is_some() {
            provider = provider.with_span_processor(buffer.clone());
        }
        let shared = Shared {
            provider: provider.build(),
            buffer,
            exporter,
            meters: AnyMeters::of(metrics.as_ref()),
            metrics,
            logs,
            propagator: config.propagator,
            sampler: config.sampler.sampler.clone(),
            schedule_delay: config.schedule_delay,
            metric_interval: config.metric_interval,
            background: Mutex::default(),
            ungrouped_flush: Mutex::default(),
            loss_reporter,
            #[cfg(feature = "tracing")]
            filter_check,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// A tracer of this process for the instrumentation scope of this name and version: usually the
    /// crate's that makes the spans.
    #[must_use]
    pub fn tracer(&self, name: &'static str, version: &'static str) -> SdkTracer {
        self.shared.provider.tracer_with_scope(scope(name, version))
    }

    /// A meter of this process for the instrumentation scope of this name and version. What its
    /// instruments record goes with the flushes, or nowhere where no metrics are exported:
    /// recording costs next to nothing then.
    #[must_use]
    pub fn meter(&self, name: &'static str, version: &'static str) -> Meter {
        self.shared.meters.meter_with_scope(scope(name, version))
    }

    /// What `OTEL_PROPAGATORS` asks for; also OpenTelemetry's global propagator.
    #[must_use]
    pub fn propagator(&self) -> Propagator {
        self.shared.propagator
    }

    /// Whether the sampler of `OTEL_TRACES_SAMPLER` would keep a consumer's span that begins a
    /// trace of this id.
    ///
    /// For a parent that came without a decision of ours: see
    /// [`XrayContext::into_parent`](crate::XrayContext::into_parent).
    #[must_use]
    pub fn samples_root(&self, trace_id: TraceId) -> bool {
        let sampler = &self.shared.sampler;
        let result = sampler.should_sample(None, trace_id, "", &SpanKind::Consumer, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }
}

fn scope(name: &'static str, version: &'static str) -> InstrumentationScope {
    InstrumentationScope::builder(name)
        .with_version(version)
        .with_schema_url(SCHEMA_URL)
        .build()
}

fn span_limits(config: &Config) -> SpanLimits {
    SpanLimits {
        max_attributes_per_span: config.limits.attributes,
        max_events_per_span: config.limits.events,
        max_links_per_span: config.limits.links,
        ..SpanLimits::default()
    }
}

fn service_name(resource: &Resource) -> String {
    let name = resource.get(&Key::from_static_str(SERVICE_NAME));
    name.map(|name| name.to_string()).unwrap_or_default()
}

fn lock<T>(task: &Mutex<Option<T>>) -> MutexGuard<'_, Option<T>> {
    task.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a collector that has failed again and again is left alone at first.
const BREAKER_PAUSE: Duration = Duration::from_secs(10);

impl From<Counts> for FlushReport {
    fn from(counts: Counts) -> Self {
        Self {
            finished: counts.finished,
            exported: counts.exported,
            spilled: counts.spilled,
            dropped: counts.dropped,
            pending: counts.pending,
            late: counts.late,
            sent: Sent::default(),
        }
    }
}

mod background;
mod builder;
mod captured;
mod flush;
mod logs;
mod meters;
mod shutdown;
mod start;

#[cfg(test)]
mod tests;
