//! Ids of the trace, the invocation and the message to which an event belongs.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceState};
use tracing::Event;

use super::span_fields::SpanScope;
use crate::logs::Correlation;

/// Ids in an OpenTelemetry context.
#[derive(Debug, Clone)]
pub(super) struct Ids {
    /// Context of the active span without its trace state, which lines and records do not contain.
    /// Invalid if no span is active.
    pub(super) span: SpanContext,
    pub(super) correlation: Correlation,
}

impl Ids {
    /// Returns the ids for an event: those of the active context or, if it has none, those of the
    /// innermost `tracing` span that has any.
    ///
    /// A task spawned with `.in_current_span()` enters the span again, but does not attach the
    /// context in which the span was created.
    pub(super) fn for_event(event: &Event<'_>, spans: &dyn SpanScope) -> Self {
        let mut ids = Self::current();
        if ids.is_empty() {
            spans.for_each(event, &mut |span| {
                if ids.is_empty() {
                    ids.clone_from(span.ids());
                }
            });
        }
        ids
    }

    /// Returns the ids in the active context.
    pub(super) fn current() -> Self {
        Context::map_current(|context| {
            let span = context.span();
            let span = span.span_context();
            let (trace_id, span_id, flags) = (span.trace_id(), span.span_id(), span.trace_flags());
            Self {
                span: SpanContext::new(trace_id, span_id, flags, false, TraceState::NONE),
                correlation: Correlation::from_context(context),
            }
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.span.is_valid() && self.correlation.is_empty()
    }
}
