//! The process's telemetry: set up once, flushed often.

use crate::buffer::{Counts, SpanBuffer, Whose};
use crate::config::Config;
use crate::export::{ExportError, Exporter, Sent};
use crate::group::{FlushGroup, Group};
use crate::metrics::Metrics;
use crate::propagation::Propagator;
use crate::signal::Signal;
use crate::{logs, resource};
use opentelemetry::metrics::noop::NoopMeterProvider;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry::trace::{SpanKind, TraceId, TracerProvider as _};
use opentelemetry::{Context, InstrumentationScope, global};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    Sampler, SamplingDecision, SdkTracer, SdkTracerProvider, ShouldSample as _, SpanLimits,
};
use opentelemetry_semantic_conventions::SCHEMA_URL;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, warn};

/// What the service is called when the environment does not say.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// `service.name` unless Lambda, `OTEL_RESOURCE_ATTRIBUTES` or `OTEL_SERVICE_NAME` names another.
    pub name: &'static str,
    /// `service.version`, usually `Some(env!("CARGO_PKG_VERSION"))`.
    pub version: Option<&'static str>,
}

/// What one flush left behind, in spans, counted over the life of the process, and what it sent itself.
///
/// `finished = exported + dropped + pending` at every moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlushReport {
    /// Sampled spans that have ended.
    pub finished: u64,
    /// Spans that the collector acknowledged.
    pub exported: u64,
    /// Spans that found the buffer full, or that the collector refused for good.
    pub dropped: u64,
    /// Spans that go with the next flush.
    pub pending: u64,
    /// Of the finished spans, those that a later flush had to take because their [`FlushGroup`] was over.
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
    /// `None` when no metrics are exported; nothing is aggregated then.
    metrics: Option<Metrics>,
    propagator: Propagator,
    sampler: Sampler,
    schedule_delay: Duration,
    background: Mutex<Option<JoinHandle<()>>>,
    /// What sends strays, the last time that there were any.
    sweep: Mutex<Option<JoinHandle<()>>>,
    stop: Notify,
    /// Dropped spans that the log has told of.
    told_dropped: AtomicU64,
}

impl Telemetry {
    /// Reads `OTEL_*` and sets the process's telemetry up: JSON logs on stdout (unless the program has a `tracing` subscriber of its own),
    /// the [`Propagator`](crate::Propagator) and the tracer provider as OpenTelemetry's globals.
    ///
    /// Never fails: what is wrong in the environment is one line in the log, naming the variable and the form expected, and then the
    /// default or no export. To be called once, at start, from within a tokio runtime; nothing is sent before the first flush.
    pub async fn init(service: Service) -> Self {
        let (config, problems) = Config::from_env();
        logs::install(config.log_filter.clone());
        for problem in &problems {
            warn!(
                variable = problem.variable,
                "configuration ignored: {problem}"
            );
        }
        let resource = resource::detect(&config, service).await;
        start::log(&config, &resource);
        let telemetry = Self::new(&config, resource);
        global::set_text_map_propagator(config.propagator);
        global::set_tracer_provider(telemetry.shared.provider.clone());
        if let Some(metrics) = &telemetry.shared.metrics {
            global::set_meter_provider(metrics.meters().clone());
        }
        telemetry
    }

    fn new(config: &Config, resource: Resource) -> Self {
        let buffer = SpanBuffer::new(config.bounds);
        let otlp = config.traces.otlp();
        let exporter = otlp.map(|otlp| Exporter::new(Signal::Traces, otlp, &resource));
        let otlp = config.metrics.otlp();
        let metrics = otlp.map(|otlp| Metrics::new(otlp, &resource));
        let limits = SpanLimits {
            max_attributes_per_span: config.limits.attributes,
            max_events_per_span: config.limits.events,
            max_links_per_span: config.limits.links,
            ..SpanLimits::default()
        };
        let mut builder = SdkTracerProvider::builder()
            .with_span_limits(limits)
            .with_resource(resource)
            .with_sampler(config.sampler.sampler.clone());
        // Also where nothing is exported, others' traces pass through: the sampling decision they carry is not ours to change.
        if exporter.is_some() {
            builder = builder.with_span_processor(buffer.clone());
        }
        Self {
            shared: Arc::new(Shared {
                provider: builder.build(),
                buffer,
                exporter,
                metrics,
                propagator: config.propagator,
                sampler: config.sampler.sampler.clone(),
                schedule_delay: config.schedule_delay,
                background: Mutex::default(),
                sweep: Mutex::default(),
                stop: Notify::new(),
                told_dropped: AtomicU64::new(0),
            }),
        }
    }

    /// A tracer of this process for the instrumentation scope of this name and version: usually the crate's that makes the spans.
    #[must_use]
    pub fn tracer(&self, name: &'static str, version: &'static str) -> SdkTracer {
        self.shared.provider.tracer_with_scope(scope(name, version))
    }

    /// A meter of this process for the instrumentation scope of this name and version. What its instruments record goes with the flushes,
    /// or nowhere where no metrics are exported: recording costs next to nothing then.
    #[must_use]
    pub fn meter(&self, name: &'static str, version: &'static str) -> Meter {
        let scope = scope(name, version);
        match &self.shared.metrics {
            Some(metrics) => metrics.meters().meter_with_scope(scope),
            None => NoopMeterProvider::new().meter_with_scope(scope),
        }
    }

    /// What `OTEL_PROPAGATORS` asks for; also OpenTelemetry's global propagator.
    #[must_use]
    pub fn propagator(&self) -> Propagator {
        self.shared.propagator
    }

    /// Whether the sampler of `OTEL_TRACES_SAMPLER` would keep a consumer's span that begins a trace of this id.
    ///
    /// For a parent that came without a decision of ours: see [`XrayContext::into_parent`](crate::XrayContext::into_parent).
    #[must_use]
    pub fn samples_root(&self, trace_id: TraceId) -> bool {
        let sampler = &self.shared.sampler;
        let result = sampler.should_sample(None, trace_id, "", &SpanKind::Consumer, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }

    /// Sends every span that has finished, and returns at `deadline` at the latest, whatever the collector does.
    ///
    /// Spans that the collector did not acknowledge stay in the buffer and go with the next flush. Those that it refused for good (any
    /// answer but success, 401, 403, 429, 502, 503 and 504) are counted as dropped. The outcome is logged at debug level, a failure as a
    /// warning. A flush beside another one waits until the spans that the other has taken are settled.
    pub async fn flush(&self, deadline: Instant) -> FlushReport {
        self.flush_whose(Whose::Everyone, deadline).await
    }

    /// A group for the spans of one invocation, where several run in one process. Costs next to nothing.
    #[must_use]
    pub fn flush_group(&self) -> FlushGroup {
        FlushGroup::new()
    }

    /// Sends the finished spans of the [group](FlushGroup) that `context` carries, as [`flush`](Self::flush) does for all, without sending
    /// or waiting for those of others. A context without a group stands for everyone.
    ///
    /// Such flushes run side by side; spans of this group that another flush has on its way are waited for. When the collector has taken
    /// the group's spans, a task is started that nobody waits for: it sends those that no group is going to send, because theirs is over or
    /// they have none, and all where the buffer is still half full. The report counts the whole process, as ever.
    pub async fn flush_of(&self, context: &Context, deadline: Instant) -> FlushReport {
        let whose = Group::of(context).map_or(Whose::Everyone, Whose::Group);
        self.flush_whose(whose, deadline).await
    }

    async fn flush_whose(&self, whose: Whose<'_>, deadline: Instant) -> FlushReport {
        let mut sent = Sent::default();
        // The failure has been logged, and the report tells what is pending.
        let (outcome, ()) = tokio::join!(
            self.export(whose, deadline, &mut sent),
            self.export_metrics(whose, deadline),
        );
        if outcome.is_ok() && matches!(whose, Whose::Group(_)) {
            self.sweep();
        }
        FlushReport {
            sent,
            ..self.tell().into()
        }
    }

    /// Has the log tell how spans stand.
    fn tell(&self) -> Counts {
        let counts = self.shared.buffer.counts();
        // `baton demo` adds these up to find out whether a span was lost: `local/src/demo/ledger.rs` knows the message and the fields.
        debug!(
            spans_finished = counts.finished,
            spans_exported = counts.exported,
            spans_dropped = counts.dropped,
            spans_pending = counts.pending,
            spans_late = counts.late,
            "telemetry flushed"
        );
        self.warn_of_drops(counts);
        counts
    }

    /// Sends strays in a task of their own, one at a time.
    fn sweep(&self) {
        let Shared {
            buffer, exporter, ..
        } = &*self.shared;
        let Some((exporter, whose)) = exporter.as_ref().zip(buffer.strays()) else {
            return;
        };
        let mut sweep = lock(&self.shared.sweep);
        if sweep.as_ref().is_none_or(JoinHandle::is_finished) {
            let deadline = exporter.patience();
            let telemetry = self.clone();
            *sweep = Some(tokio::spawn(async move {
                // As for a flush.
                let mut sent = Sent::default();
                let _ = telemetry.export(whose, deadline, &mut sent).await;
                telemetry.tell();
            }));
        }
    }

    /// One line for all spans that were dropped since the last one.
    fn warn_of_drops(&self, counts: Counts) {
        // Of several flushes at once, one may have counted later than another and be here first.
        let told = self.shared.told_dropped.fetch_max(counts.dropped, Relaxed);
        if counts.dropped > told {
            let spans = counts.dropped - told;
            warn!(
                spans,
                "spans dropped: the buffer was full, or the collector refused them"
            );
        }
    }

    async fn export(
        &self,
        whose: Whose<'_>,
        deadline: Instant,
        sent: &mut Sent,
    ) -> Result<(), ExportError> {
        let Shared {
            buffer, exporter, ..
        } = &*self.shared;
        let Some(exporter) = exporter.as_ref().filter(|_| buffer.counts().pending > 0) else {
            return Ok(());
        };
        let outcome = exporter.export(buffer, whose, deadline, sent).await;
        if let Err(error) = &outcome {
            exporter.failures.tell(error, buffer.counts().exported);
        }
        outcome
    }

    /// The metrics' part of a flush. A failure has been logged, and loses nothing.
    async fn export_metrics(&self, whose: Whose<'_>, deadline: Instant) {
        let Some(metrics) = &self.shared.metrics else {
            return;
        };
        let _ = match whose {
            Whose::Everyone => metrics.export(deadline).await,
            // No metrics are a group's own: where another flush is sending them already, these go with the next one.
            Whose::Group(_) | Whose::Nobody => metrics.export_unless_busy(deadline).await,
        };
    }

    /// Completes when it is time for an export although more spans are to come: `OTEL_BSP_SCHEDULE_DELAY` (5 s) after the call, or when the
    /// buffer has become half full. Never, where nothing is exported.
    pub async fn export_due(&self) {
        if self.shared.exporter.is_none() {
            return std::future::pending().await;
        }
        tokio::select! {
            () = self.shared.buffer.half_full() => {}
            () = sleep(self.shared.schedule_delay) => {}
        }
    }

    /// Starts a task that exports finished spans every `OTEL_BSP_SCHEDULE_DELAY` (5 s), and sooner when the buffer is half full: for
    /// services that run all the time. A function flushes by itself instead. Does nothing when the task runs already.
    pub fn export_in_background(&self) {
        let mut background = self.background();
        if background.is_none() && self.shared.exporter.is_some() {
            let telemetry = self.clone();
            *background = Some(tokio::spawn(telemetry.export_forever()));
        }
    }

    /// Stops the background task and flushes what is left, by `deadline` at the latest.
    pub async fn shutdown(&self, deadline: Instant) -> FlushReport {
        let task = self.background().take();
        if let Some(mut task) = task {
            self.shared.stop.notify_one();
            // An export that is under way is better waited for: cut off, its spans would be sent twice.
            if timeout_at(deadline, &mut task).await.is_err() {
                task.abort();
            }
        }
        self.flush(deadline).await
    }

    async fn export_forever(self) {
        let Shared {
            buffer,
            schedule_delay,
            stop,
            ..
        } = &*self.shared;
        let mut failed = false;
        loop {
            tokio::select! {
                () = stop.notified() => return,
                // A collector that is down is not asked more often because the buffer fills up.
                () = buffer.half_full(), if !failed => {}
                () = sleep(*schedule_delay) => {}
            }
            let deadline = Instant::now() + (*schedule_delay).max(MIN_BACKGROUND_TIME);
            let whose = Whose::Everyone;
            let outcome = self.export(whose, deadline, &mut Sent::default()).await;
            failed = outcome.is_err();
            self.warn_of_drops(buffer.counts());
        }
    }

    fn background(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        lock(&self.shared.background)
    }
}

fn scope(name: &'static str, version: &'static str) -> InstrumentationScope {
    InstrumentationScope::builder(name)
        .with_version(version)
        .with_schema_url(SCHEMA_URL)
        .build()
}

fn lock(task: &Mutex<Option<JoinHandle<()>>>) -> MutexGuard<'_, Option<JoinHandle<()>>> {
    task.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The least time that one export in the background has, however short the schedule delay is.
const MIN_BACKGROUND_TIME: Duration = Duration::from_secs(1);

impl From<Counts> for FlushReport {
    fn from(counts: Counts) -> Self {
        Self {
            finished: counts.finished,
            exported: counts.exported,
            dropped: counts.dropped,
            pending: counts.pending,
            late: counts.late,
            sent: Sent::default(),
        }
    }
}

mod captured;
mod start;

#[cfg(test)]
mod tests;
