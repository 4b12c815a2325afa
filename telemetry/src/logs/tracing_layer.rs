//! The layer that turns spans of the `tracing` crate into OpenTelemetry spans.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::global::{self, BoxedSpan};
use opentelemetry::trace::{SpanBuilder, Tracer};
use opentelemetry::{Context, InstrumentationScope};
use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{self, Filter, Layer};
use tracing_subscriber::registry::LookupSpan;

use self::errors::{ErrorFilter, ErrorLayer};
use crate::logs::program_spans;

mod errors;

/// Instrumentation scope of these spans.
const SCOPE: &str = "baton.tracing";

/// Returns a layer that turns `tracing` spans (`#[instrument]`, `info_span!`) into OpenTelemetry
/// spans, for programs that install their own subscriber.
///
/// [`Telemetry::init`](crate::Telemetry::init) installs the layer unless the process already has a
/// subscriber. Such a program adds the layer itself, before or after `init`:
///
/// ```
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// let subscriber = tracing_subscriber::registry()
///     .with(tracing_subscriber::filter::LevelFilter::INFO)
///     .with(baton_telemetry::log_layer())
///     .with(baton_telemetry::tracing_layer());
/// # let _guard = tracing::subscriber::set_default(subscriber);
/// ```
///
/// The parent of a span is the `tracing` span around it or, without one, the active OpenTelemetry
/// span: in a handler, that of the record. While the span is entered, it is the active
/// OpenTelemetry span: log lines have its ids, and spans that are created in other ways become its
/// children. Spans are created by OpenTelemetry's global tracer provider, in the scope
/// `baton.tracing`.
///
/// The fields of a span become its attributes. Unsigned integers become strings, because
/// `tracing-opentelemetry` supports signed integers only. `otel.name`, `otel.kind` and
/// `otel.status_code` have the meaning that its documentation describes.
///
/// An error sets the span's status to Error with the error's text, and adds an `exception` event
/// with the text as `exception.message`. An event is an error if it has a field `error` and no
/// message, as recorded by `#[instrument(err)]` and `#[instrument(err(Debug))]`. If the field is a
/// `dyn Error`, the text includes the error's causes. Errors recorded with `err(level = …)` count
/// at every level, even if a filter of the log layer omits them; a filter of the whole subscriber,
/// such as the `LevelFilter::INFO` above, omits finer errors here too. A hand-written event of this
/// form counts only at level ERROR, because a `warn!(error = %error)` often precedes a successful
/// retry. All other events are log lines only and do not become span events.
///
/// Spans and errors of libraries (the AWS SDK, hyper, tower, `lambda_runtime` …, and this crate)
/// are left out. The subscriber's own filter selects the others.
pub fn tracing_layer<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    spans_and_errors(SpanSelection { logs: None })
}

/// Returns the layer with the log filter `logs`: it creates spans of the default level, and finer
/// ones if `logs` enables finer lines.
pub(crate) fn default_layer<S>(logs: Targets) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    spans_and_errors(SpanSelection { logs: Some(logs) })
}

/// Combines the layer that creates spans with the one that records errors on them.
fn spans_and_errors<S>(selection: SpanSelection) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let errors = ErrorLayer::default().with_filter(ErrorFilter(selection.clone()));
    bare_layer()
        .with_filter(SpanFilter::new(selection))
        .and_then(errors)
}

/// Selection of the spans to create.
#[derive(Debug, Clone)]
struct SpanSelection {
    /// Log filter for spans finer than the default level. `None` selects all spans, for a program's
    /// own subscriber.
    logs: Option<Targets>,
}

impl SpanSelection {
    fn includes(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span()
            && match &self.logs {
                Some(logs) => program_spans::is_created(metadata, logs),
                None => program_spans::belongs_to_program(metadata),
            }
    }
}

/// Filter of the layer that creates spans. Its type identifies subscribers that contain the layer.
#[derive(Debug)]
pub(crate) struct SpanFilter {
    selection: SpanSelection,
    has_created_span: AtomicBool,
}

impl SpanFilter {
    fn new(selection: SpanSelection) -> Self {
        Self {
            selection,
            has_created_span: AtomicBool::new(false),
        }
    }

    /// Returns `true` if a span has been created.
    pub(super) fn has_created_span(&self) -> bool {
        self.has_created_span.load(Ordering::Relaxed)
    }

    /// Returns `true` in a program's own subscriber, whose filters may omit spans. The default
    /// subscriber has no such filter.
    pub(super) fn is_in_own_subscriber(&self) -> bool {
        self.selection.logs.is_none()
    }
}

impl<S> Filter<S> for SpanFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &layer::Context<'_, S>) -> bool {
        self.selection.includes(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.selection.includes(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn on_new_span(&self, _: &Attributes<'_>, _: &Id, _: layer::Context<'_, S>) {
        // Loads before it stores, because every store would invalidate the cache line for the other
        // threads.
        if !self.has_created_span() {
            self.has_created_span.store(true, Ordering::Relaxed);
        }
    }
}

/// Creates the layer without source location, thread, busy and idle time, which cost time for every
/// span and are rarely useful.
fn bare_layer<S>() -> tracing_opentelemetry::OpenTelemetryLayer<S, GlobalTracer>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_opentelemetry::layer()
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false)
        .with_level(false)
        .with_tracer(GlobalTracer)
}

/// Tracer that looks up the global tracer for each span, because the subscriber is installed before
/// the tracer provider.
#[derive(Debug)]
struct GlobalTracer;

static SCOPE_OF_ALL: LazyLock<InstrumentationScope> =
    LazyLock::new(|| InstrumentationScope::builder(SCOPE).build());

impl Tracer for GlobalTracer {
    type Span = BoxedSpan;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> BoxedSpan {
        let tracer = global::tracer_with_scope(SCOPE_OF_ALL.clone());
        tracer.build_with_context(builder, parent)
    }
}

#[cfg(test)]
mod tests;
