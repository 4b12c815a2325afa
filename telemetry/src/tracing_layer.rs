//! Spans of the `tracing` crate as OpenTelemetry spans.

use std::sync::LazyLock;

use opentelemetry::global::{self, BoxedSpan};
use opentelemetry::trace::{SpanBuilder, Tracer};
use opentelemetry::{Context, InstrumentationScope};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{FilterFn, Targets, filter_fn};
use tracing_subscriber::layer::Layer;
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
///     .with(tracing_subscriber::fmt::layer())
///     .with(baton_telemetry::tracing_layer());
/// # let _guard = tracing::subscriber::set_default(subscriber);
/// ```
///
/// A span is a child of the `tracing` span that is entered around it, else of the active OpenTelemetry span: in a handler, the record's.
/// While it is entered it is the active OpenTelemetry span itself, so that log lines carry its ids, and spans made in other ways become
/// its children. It comes from OpenTelemetry's global tracer provider, under the scope `baton.tracing`.
///
/// The fields of a span are its attributes, where unsigned integers arrive as text, because `tracing-opentelemetry` takes signed ones only;
/// `otel.name`, `otel.kind` and `otel.status_code` mean what its documentation says. Events stay log lines and do not become span events.
/// Spans of libraries that tell about their insides (the AWS SDK's, hyper, tower, `lambda_runtime` …, and this one's) are left out; of which
/// level others are made is up to the subscriber's own filter.
pub fn tracing_layer<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    layer().with_filter(filter_fn(is_span_of_program))
}

/// The same where `logs` says what is logged: spans of the default level, and finer ones where `logs` wants finer lines.
pub(crate) fn beside_logs<S>(logs: Targets) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    layer().with_filter(filter_beside(logs))
}

fn filter_beside(logs: Targets) -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    let finest = program_spans::finest_level(&logs);
    let filter = filter_fn(move |metadata: &Metadata<'_>| {
        metadata.is_span() && program_spans::is_made(metadata, &logs)
    });
    // Without the hint every event of every library would be looked at.
    filter.with_max_level_hint(finest)
}

fn is_span_of_program(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && program_spans::is_of_program(metadata)
}

/// Without what costs on every span and tells little: place in the source, thread, busy and idle time.
fn layer<S>() -> tracing_opentelemetry::OpenTelemetryLayer<S, GlobalTracer>
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
