//! Finished spans of all runs of the process, told apart.
//!
//! The core's spans come from a provider of the run's own. A handler's come from OpenTelemetry's
//! global provider, of which a process has one; they are the run's whose span is their parent.
//! Trace ids would not do: tests side by side may well use the same `traceparent`.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use opentelemetry::trace::{Span as _, SpanContext, SpanId, TraceContextExt as _, TraceId};
use opentelemetry::{Context, global};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    Sampler, SdkTracerProvider, Span, SpanData, SpanLimits, SpanProcessor,
};

static RUNS: LazyLock<Mutex<Runs>> = LazyLock::new(Mutex::default);
static INSTALL: Once = Once::new();

type Id = (TraceId, SpanId);
type RunNumber = u64;

/// What is known of a span while its run lasts.
#[derive(Debug, Clone, Copy)]
struct Started {
    run: RunNumber,
    maker: Maker,
    /// Its place among the spans of all runs, by start.
    order: u64,
}

/// Who made a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    Core,
    Handler,
}

#[derive(Debug)]
pub(super) struct Captured {
    pub(super) span: SpanData,
    pub(super) maker: Maker,
    pub(super) order: u64,
}

#[derive(Debug, Default)]
struct Runs {
    next_run: RunNumber,
    next_order: u64,
    started: HashMap<Id, Started>,
    ended: HashMap<RunNumber, Vec<Captured>>,
}

impl Runs {
    fn lock() -> MutexGuard<'static, Self> {
        RUNS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&mut self, span: &SpanContext, run: RunNumber, maker: Maker) {
        let order = self.next_order;
        self.next_order += 1;
        let started = Started { run, maker, order };
        self.started.insert(id(span), started);
    }

    fn end(&mut self, span: SpanData) {
        // A span of no run, or of one that is over, is nobody's.
        let Some(Started { run, maker, order }) = self.started.get(&id(&span.span_context)) else {
            return;
        };
        if let Some(ended) = self.ended.get_mut(run) {
            ended.push(Captured {
                span,
                maker: *maker,
                order: *order,
            });
        }
    }
}

fn id(span: &SpanContext) -> Id {
    (span.trace_id(), span.span_id())
}

/// One run; what it has captured is forgotten with it.
#[derive(Debug)]
pub(super) struct Run {
    number: RunNumber,
    provider: SdkTracerProvider,
}

impl Run {
    pub(super) fn start() -> Self {
        INSTALL.call_once(|| {
            global::set_tracer_provider(provider(OfHandlers));
            global::set_text_map_propagator(baton_telemetry::Propagator::default());
            #[cfg(feature = "tracing")]
            bridge();
        });
        let mut runs = Runs::lock();
        let number = runs.next_run;
        runs.next_run += 1;
        runs.ended.insert(number, Vec::new());
        Self {
            number,
            provider: provider(OfCore(number)),
        }
    }

    pub(super) fn provider(&self) -> &SdkTracerProvider {
        &self.provider
    }

    /// The spans that have ended so far.
    pub(super) fn take(&self) -> Vec<Captured> {
        let mut runs = Runs::lock();
        let ended = runs.ended.get_mut(&self.number);
        ended.map(std::mem::take).unwrap_or_default()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let mut runs = Runs::lock();
        runs.ended.remove(&self.number);
        runs.started.retain(|_, span| span.run != self.number);
    }
}

/// Captures the spans of the `tracing` macros too, unless the process has a subscriber of its own,
/// which it keeps.
#[cfg(feature = "tracing")]
fn bridge() {
    use tracing_subscriber::layer::SubscriberExt as _;
    let subscriber = tracing_subscriber::registry().with(baton_telemetry::tracing_layer());
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// As in production, no link of a batch span is dropped. Everything that the SDK would read from
/// the environment is set.
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

#[derive(Debug)]
struct OfCore(RunNumber);

#[derive(Debug)]
struct OfHandlers;

impl SpanProcessor for OfCore {
    fn on_start(&self, span: &mut Span, _: &Context) {
        Runs::lock().start(span.span_context(), self.0, Maker::Core);
    }

    fn on_end(&self, span: SpanData) {
        Runs::lock().end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl SpanProcessor for OfHandlers {
    fn on_start(&self, span: &mut Span, parent: &Context) {
        let mut runs = Runs::lock();
        let parent = runs.started.get(&id(parent.span().span_context()));
        if let Some(run) = parent.map(|parent| parent.run) {
            runs.start(span.span_context(), run, Maker::Handler);
        }
    }

    fn on_end(&self, span: SpanData) {
        Runs::lock().end(span);
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
    fn what_a_run_captured_is_forgotten_with_it() {
        let run = Run::start();
        let number = run.number;
        let ended = run.provider().tracer("test").start("ended");
        let unfinished = run.provider().tracer("test").start("unfinished");
        let context = Context::new().with_span(unfinished);
        drop(ended);
        assert!(Runs::lock().ended[&number].len() == 1);
        drop(run);
        // Neither the span itself nor what is started inside it finds its run any more.
        drop(global::tracer("handler").start_with_context("late", &context));
        context.span().end();
        let runs = Runs::lock();
        assert!(!runs.ended.contains_key(&number));
        assert!(runs.started.values().all(|span| span.run != number));
    }
}
