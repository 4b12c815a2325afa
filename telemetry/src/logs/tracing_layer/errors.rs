//! Errors recorded through `tracing`, as status and event of the spans in which they occurred.

use std::error::Error;
use std::fmt;
use std::sync::OnceLock;

use opentelemetry::trace::{Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::attribute::EXCEPTION_MESSAGE;
use tracing::dispatcher::WeakDispatch;
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};
use tracing_opentelemetry::get_otel_context;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{self, Filter, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::SpanSelection;
use crate::error_chain::ErrorChain;
use crate::logs::program_spans;

/// Name of the field that marks an event as an error.
const ERROR: &str = "error";
/// Name of the event (semantic conventions, "Exceptions on spans").
const EXCEPTION: &str = "exception";

/// Records errors on spans. `tracing-opentelemetry` does so too, but for an error recorded as a
/// `dyn Error` (`error = &error as &dyn Error`) it neither names the event `exception` nor sets the
/// text of the status.
#[derive(Debug, Default)]
pub(super) struct ErrorLayer {
    /// The subscriber that contains this layer. It is stored because `dispatcher::get_default` does
    /// not return it while an event is recorded. It remains unknown inside an `Option` or a `Vec`
    /// of layers, which do not pass on `on_register_dispatch`.
    subscriber: OnceLock<WeakDispatch>,
}

impl<S> Layer<S> for ErrorLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        let _ = self.subscriber.set(subscriber.downgrade());
    }

    fn on_event(&self, event: &Event<'_>, context: layer::Context<'_, S>) {
        let Some(span) = context.event_span(event) else {
            return;
        };
        let mut text = ErrorText::default();
        event.record(&mut text);
        let subscriber = self.subscriber.get().and_then(WeakDispatch::upgrade);
        let context = subscriber
            .and_then(|subscriber| get_otel_context(&span.id(), &subscriber))
            // The innermost span that is entered is also the active OpenTelemetry span.
            .or_else(|| event.is_contextual().then(Context::current));
        if let Some(context) = context {
            let span = context.span();
            let message = KeyValue::new(EXCEPTION_MESSAGE, text.0.clone());
            span.set_status(Status::error(text.0));
            span.add_event(EXCEPTION, vec![message]);
        }
    }
}

/// The text of an event's error.
#[derive(Default)]
struct ErrorText(String);

impl Visit for ErrorText {
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        if field.name() == ERROR {
            self.0 = ErrorChain::new(value).to_text();
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == ERROR {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == ERROR {
            self.0 = format!("{value:?}");
        }
    }
}

/// Filter of the [`ErrorLayer`]. It enables the same spans as [`SpanFilter`](super::SpanFilter), so
/// that each error is recorded on a span that was created.
pub(super) struct ErrorFilter(pub(super) SpanSelection);

impl ErrorFilter {
    fn passes(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.is_span() {
            self.0.includes(metadata)
        } else {
            is_error(metadata)
        }
    }
}

impl<S> Filter<S> for ErrorFilter
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn enabled(&self, metadata: &Metadata<'_>, _: &layer::Context<'_, S>) -> bool {
        self.passes(metadata)
    }

    /// Decides once per callsite, so that other events cost nothing here. Errors are decided
    /// individually in [`event_enabled`](Filter::event_enabled), which `tracing-subscriber`
    /// consults reliably only if the interest is `sometimes`.
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
        // `#[instrument]` records its span and its error at the same source location. If the span
        // is filtered out, the error would be recorded on the surrounding span, which may succeed.
        let is_of_span = (event.file(), event.line()) == (span.file(), span.line());
        *event.level() == Level::ERROR || is_of_span
    }

    /// An error can be recorded at any level, so no level can be disabled.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }
}

/// Returns `true` if an event has the form of an error: a field `error` and no message, as recorded
/// by `#[instrument(err)]`.
fn is_error(event: &Metadata<'_>) -> bool {
    let has = |name| event.fields().field(name).is_some();
    has(ERROR) && !has("message") && program_spans::belongs_to_program(event)
}
