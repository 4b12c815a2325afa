//! Spans of the `tracing` crate as OpenTelemetry spans.

use std::sync::LazyLock;

use opentelemetry::global::{self, BoxedSpan};
use opentelemetry::trace::{SpanBuilder, Tracer};
use opentelemetry::{Context, InstrumentationScope};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{self, Filter, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::program_spans;

/// Instrumentation scope of the spans made here.
const SCOPE: &str = "baton.tracing";
/// A layer that makes OpenTelemetry spans of `tracing` spans (`#[instrument]`, `info_span!`), for programs with a subscriber of their own.
///
/// [`Telemetry::init`](crate::Telemetry::init) installs it by itself unless the process has a subscriber already. A program that has one
/// adds the layer to it, before or after `init`:
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
/// A span is a child of the `tracing` span that is entered around it, else of the active OpenTelemetry span: in a handler, the record's.
/// While it is entered it is the active OpenTelemetry span itself, so that log lines carry its ids, and spans made in other ways become
/// its children. It comes from OpenTelemetry's global tracer provider, under the scope `baton.tracing`.
///
/// The fields of a span are its attributes, where unsigned integers arrive as text, because `tracing-opentelemetry` takes signed ones only;
/// `otel.name`, `otel.kind` and `otel.status_code` mean what its documentation says.
///
/// An error sets the span's status to Error with the error's text, and adds an `exception` event with the text as `exception.message`. An
/// event is an error if it has a field `error` and no message, as recorded by `#[instrument(err)]` and `#[instrument(err(Debug))]`. Errors
/// recorded with `err(level = …)` count at every level, even if a filter of the log layer omits them; a filter of the whole subscriber, such as
/// the `LevelFilter::INFO` above, omits finer errors here too. A hand-written event of this form counts only at level
/// ERROR, because a `warn!(error = %error)` often precedes a successful retry. All other events are log lines only and do not become span
/// events.
///
/// Spans and errors of libraries (the AWS SDK, hyper, tower, `lambda_runtime` …, and this crate) are left out. The subscriber's own filter
/// selects the others.
pub fn tracing_layer<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    bare_layer().with_filter(SpansAndErrors { logs: None })
}

/// Returns the layer with the log filter `logs`: it creates spans of the default level, and finer ones if `logs` enables finer lines.
pub(crate) fn beside_logs<S>(logs: Targets) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    bare_layer().with_filter(SpansAndErrors { logs: Some(logs) })
}

/// Filter of the layer. Its type identifies subscribers that contain the layer.
pub(crate) struct SpansAndErrors {
    /// Log filter for spans finer than the default level. `None` lets all spans pass.
    logs: Option<Targets>,
}

impl SpansAndErrors {
    fn passes(&self, metadata: &Metadata<'_>) -> bool {
        if !metadata.is_span() {
            return is_error(metadata);
        }
        match &self.logs {
            Some(logs) => program_spans::is_made(metadata, logs),
            None => program_spans::is_of_program(metadata),
        }
    }
}

impl<S> Filter<S> for SpansAndErrors
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn enabled(&self, metadata: &Metadata<'_>, _: &layer::Context<'_, S>) -> bool {
        self.passes(metadata)
    }

    /// Decides once per callsite, so that other events cost nothing here. Errors are decided individually in
    /// [`event_enabled`](Filter::event_enabled), which `tracing-subscriber` consults reliably only if the interest is
    /// `sometimes`.
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if !self.passes(metadata) {
            Interest::never()
        } else if metadata.is_span() {
            Interest::always()
        } else {
            Interest::sometimes()
        }
    }

    fn event_enabled(&self, event: &Event<'_>, context: &layer::Context<'_, S>) -> bool {
        let Some(span) = context.event_span(event) else {
            return false;
        };
        let (event, span) = (event.metadata(), span.metadata());
        // `#[instrument]` records its span and its error at the same source location. If the span is filtered out, the error would be
        // recorded on the surrounding span, which may succeed.
        let is_of_span = (event.file(), event.line()) == (span.file(), span.line());
        *event.level() == Level::ERROR || is_of_span
    }

    /// An error can be recorded at any level, so no level can be disabled.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }
}

/// Returns `true` if an event is an error as recorded by `#[instrument(err)]`.
fn is_error(event: &Metadata<'_>) -> bool {
    let has = |name| event.fields().field(name).is_some();
    has("error") && !has("message") && program_spans::is_of_program(event)
}

/// Without what costs on every span and tells little: place in the source, thread, busy and idle time.
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

/// Asks for the global tracer span by span: the subscriber is there before the tracer provider, and logs what becomes of it.
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
