//! Capture of finished spans, log lines and measurements, separated by test run.
//!
//! Each run has its own providers for the runtime's spans and metrics. The handler's spans and
//! metrics come from OpenTelemetry's global providers, and its log lines from the `tracing`
//! subscriber. All runs of the process share these. A span belongs to the run of its parent; a log
//! line or a measurement belongs to the run of the active span. The trace id cannot identify the
//! run, because concurrent tests may use the same `traceparent`.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use baton_telemetry::LogLayer;
use opentelemetry::trace::{Span as _, SpanContext, SpanId, TraceContextExt as _, TraceId};
use opentelemetry::{Context, global};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    Sampler, SdkTracerProvider, Span, SpanData, SpanLimits, SpanProcessor,
};

use super::measurements::{CapturingMeters, Measurement};

static RUNS: LazyLock<Mutex<RunRegistry>> = LazyLock::new(Mutex::default);
static INSTALL: Once = Once::new();

type SpanKey = (TraceId, SpanId);
type RunId = u64;

/// Properties of a started span, kept until its run ends.
#[derive(Debug, Clone, Copy)]
struct OpenSpan {
    run: RunId,
    source: SpanSource,
    /// Position among the spans of all runs, in the order in which they started.
    order: u64,
}

/// Origin of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SpanSource {
    Runtime,
    Handler,
}

#[derive(Debug)]
pub(super) struct CapturedSpan {
    pub(super) span: SpanData,
    pub(super) source: SpanSource,
    pub(super) order: u64,
}

/// Everything that has been captured in a run.
#[derive(Debug, Default)]
pub(super) struct Captured {
    pub(super) spans: Vec<CapturedSpan>,
    pub(super) log: Vec<serde_json::Value>,
    pub(super) measurements: Vec<Measurement>,
}

#[derive(Debug, Default)]
struct RunRegistry {
    next_run: RunId,
    next_order: u64,
    started: HashMap<SpanKey, OpenSpan>,
    runs: HashMap<RunId, Captured>,
}

impl RunRegistry {
    fn lock() -> MutexGuard<'static, Self> {
        RUNS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&mut self, span: &SpanContext, run: RunId, source: SpanSource) {
        let order = self.next_order;
        self.next_order += 1;
        let started = OpenSpan { run, source, order };
        self.started.insert(span_key(span), started);
    }

    fn end(&mut self, span: SpanData) {
        // The span belongs to no run, or to a run that has ended.
        let Some(OpenSpan { run, source, order }) = self.started.get(&span_key(&span.span_context))
        else {
            return;
        };
        if let Some(captured) = self.runs.get_mut(run) {
            captured.spans.push(CapturedSpan {
                span,
                source: *source,
                order: *order,
            });
        }
    }

    /// Returns what has been captured in the run of the active span.
    fn active_run(&mut self) -> Option<&mut Captured> {
        let active = Context::map_current(|context| span_key(context.span().span_context()));
        let run = self.started.get(&active)?.run;
        self.runs.get_mut(&run)
    }
}

fn span_key(span: &SpanContext) -> SpanKey {
    (span.trace_id(), span.span_id())
}

/// A test run. Dropping it discards its captured spans.
#[derive(Debug)]
pub(super) struct TestRun {
    number: RunId,
    provider: SdkTracerProvider,
}

impl TestRun {
    pub(super) fn start() -> Self {
        INSTALL.call_once(|| {
            global::set_tracer_provider(provider(HandlerSpanProcessor));
            global::set_meter_provider(CapturingMeters::new(|measurement| {
                if let Some(captured) = RunRegistry::lock().active_run() {
                    captured.measurements.push(measurement);
                }
            }));
            global::set_text_map_propagator(baton_telemetry::Propagator::default());
            install_subscriber();
        });
        let mut runs = RunRegistry::lock();
        let number = runs.next_run;
        runs.next_run += 1;
        runs.runs.insert(number, Captured::default());
        Self {
            number,
            provider: provider(RuntimeSpanProcessor(number)),
        }
    }

    pub(super) fn provider(&self) -> &SdkTracerProvider {
        &self.provider
    }

    /// Returns a provider of meters for the runtime's own metrics.
    pub(super) fn meters(&self) -> CapturingMeters {
        let number = self.number;
        CapturingMeters::new(move |measurement| {
            if let Some(captured) = RunRegistry::lock().runs.get_mut(&number) {
                captured.measurements.push(measurement);
            }
        })
    }

    /// Takes everything that has been captured so far.
    pub(super) fn take(&self) -> Captured {
        let mut runs = RunRegistry::lock();
        let captured = runs.runs.get_mut(&self.number);
        captured.map(std::mem::take).unwrap_or_default()
    }
}

impl Drop for TestRun {
    fn drop(&mut self) {
        let mut runs = RunRegistry::lock();
        runs.runs.remove(&self.number);
        runs.started.retain(|_, span| span.run != self.number);
    }
}

/// Returns a layer that captures the log lines of all runs, down to level INFO. It is for tests of
/// programs with their own `tracing` subscriber; any other process gets the layer automatically.
///
/// ```
/// use baton_lambda::testing;
/// use baton_lambda::tracing_subscriber::layer::SubscriberExt as _;
///
/// let subscriber = baton_lambda::tracing_subscriber::registry().with(testing::capture_layer());
/// # let _guard = baton_lambda::tracing::subscriber::set_default(subscriber);
/// ```
#[must_use]
pub fn capture_layer() -> LogLayer {
    LogLayer::captured(|line| {
        if let Ok(line) = serde_json::from_slice(line)
            && let Some(captured) = RunRegistry::lock().active_run()
        {
            captured.log.push(line);
        }
    })
}

/// Captures log lines and, with the feature `tracing`, the spans of the `tracing` macros. A
/// subscriber that the process has already installed is kept.
fn install_subscriber() {
    use baton_telemetry::tracing_subscriber::filter::LevelFilter;
    use baton_telemetry::tracing_subscriber::layer::SubscriberExt as _;
    let subscriber = baton_telemetry::tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(capture_layer());
    #[cfg(feature = "tracing")]
    let subscriber = subscriber.with(baton_telemetry::tracing_layer());
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Creates a provider. As in production, no links of a batch span are dropped. All options that the
/// SDK would otherwise read from the environment are set.
fn provider(processor: impl SpanProcessor + 'static) -> SdkTracerProvider {
    let limits = SpanLimits {
        max_links_per_span: u32::MAX,
        ..SpanLimits::default()
    };
    SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .with_resource(Resource::builder_empty().build())
        .with_span_limits(limits)
        .with_span_processor(processor)
        .build()
}

/// Captures the spans of the runtime in one run.
#[derive(Debug)]
struct RuntimeSpanProcessor(RunId);

/// Captures the spans of handlers in all runs.
#[derive(Debug)]
struct HandlerSpanProcessor;

impl SpanProcessor for RuntimeSpanProcessor {
    fn on_start(&self, span: &mut Span, _: &Context) {
        RunRegistry::lock().start(span.span_context(), self.0, SpanSource::Runtime);
    }

    fn on_end(&self, span: SpanData) {
        RunRegistry::lock().end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl SpanProcessor for HandlerSpanProcessor {
    fn on_start(&self, span: &mut Span, parent: &Context) {
        let mut runs = RunRegistry::lock();
        let parent = runs.started.get(&span_key(parent.span().span_context()));
        if let Some(run) = parent.map(|parent| parent.run) {
            runs.start(span.span_context(), run, SpanSource::Handler);
        }
    }

    fn on_end(&self, span: SpanData) {
        RunRegistry::lock().end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{Tracer as _, TracerProvider as _};

    use super::*;

    #[test]
    fn the_spans_of_a_run_are_discarded_when_it_ends() {
        let run = TestRun::start();
        let number = run.number;
        let ended = run.provider().tracer("test").start("ended");
        let unfinished = run.provider().tracer("test").start("unfinished");
        let context = Context::new().with_span(unfinished);
        drop(ended);
        assert!(RunRegistry::lock().runs[&number].spans.len() == 1);
        drop(run);
        // Neither the span itself nor a span started inside it is captured any more.
        drop(global::tracer("handler").start_with_context("late", &context));
        context.span().end();
        let runs = RunRegistry::lock();
        assert!(!runs.runs.contains_key(&number));
        assert!(runs.started.values().all(|span| span.run != number));
    }
}
