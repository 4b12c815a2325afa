//! W3C Trace Context level 2 and W3C Baggage, parsed to the letter, as one [`TextMapPropagator`].
//!
//! The SDK's own parser pads short ids (and so continues a *different* trace), accepts signs and upper case, and clears the random flag
//! that level 2 says must be kept; its baggage parser cuts values at a second `=`. Both sides of the queue must agree, so this is the
//! propagator of the producer and of the function.

mod baggage;
mod traceparent;
mod tracestate;

use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceState};
use std::fmt;
use std::sync::LazyLock;

pub use traceparent::InvalidTraceparent;

/// Name of the header, and of the message attribute, that carries trace id, parent span id and flags.
pub const TRACEPARENT: &str = "traceparent";
/// Name of the header, and of the message attribute, that carries the vendors' positions in the trace.
pub const TRACESTATE: &str = "tracestate";
/// Name of the header, and of the message attribute, that carries the application's own key-value pairs.
pub const BAGGAGE: &str = "baggage";

static FIELDS: LazyLock<[String; 3]> =
    LazyLock::new(|| [TRACEPARENT, TRACESTATE, BAGGAGE].map(str::to_owned));

/// Parses a `traceparent` and the `tracestate` that came with it.
///
/// A `tracestate` that does not parse is dropped without touching the trace context, as the specification demands
/// (W3C Trace Context level 2, section 4.3).
///
/// # Errors
///
/// Says which part of `traceparent` is not what section 3.2 of the specification allows.
pub fn parse_trace_context(
    traceparent: &str,
    tracestate: Option<&str>,
) -> Result<SpanContext, InvalidTraceparent> {
    let parsed = traceparent::parse(traceparent)?;
    let trace_state = tracestate
        .filter(|value| !value.is_empty())
        .and_then(tracestate::parse)
        .unwrap_or(TraceState::NONE);
    Ok(SpanContext::new(
        parsed.trace_id,
        parsed.span_id,
        parsed.flags,
        true,
        trace_state,
    ))
}

/// Puts the baggage of a `baggage` header into a context; a header over the specification's limits counts as absent.
#[must_use]
pub fn with_baggage(context: &Context, header: &str) -> Context {
    baggage::extract(context, header)
}

/// The propagator of both sides of the queue: which formats it reads and writes comes from `OTEL_PROPAGATORS`.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Propagator {
    /// Whether `traceparent` and `tracestate` are read and written.
    pub trace_context: bool,
    /// Whether `baggage` is read and written.
    pub baggage: bool,
}

impl Default for Propagator {
    /// The default of `OTEL_PROPAGATORS`: `tracecontext,baggage`.
    fn default() -> Self {
        Self {
            trace_context: true,
            baggage: true,
        }
    }
}

/// As in `OTEL_PROPAGATORS`.
impl fmt::Display for Propagator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match (self.trace_context, self.baggage) {
            (true, true) => "tracecontext,baggage",
            (true, false) => "tracecontext",
            (false, true) => "baggage",
            (false, false) => "none",
        })
    }
}

impl TextMapPropagator for Propagator {
    /// Writes only what has a value: SQS refuses an empty message attribute, and the specification advises against an empty `tracestate`.
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let span = cx.span();
        let span_context = span.span_context();
        if self.trace_context && span_context.is_valid() {
            injector.set(TRACEPARENT, traceparent::format(span_context));
            let trace_state = span_context.trace_state().header();
            if !trace_state.is_empty() {
                injector.set(TRACESTATE, trace_state);
            }
        }
        if self.baggage
            && let Some(header) = baggage::format(cx)
        {
            injector.set(BAGGAGE, header);
        }
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let mut context = cx.clone();
        if self.trace_context
            && let Some(traceparent) = extractor.get(TRACEPARENT)
            && let Ok(remote) = parse_trace_context(traceparent, extractor.get(TRACESTATE))
        {
            context = context.with_remote_span_context(remote);
        }
        match extractor.get(BAGGAGE).filter(|_| self.baggage) {
            Some(header) => with_baggage(&context, header),
            None => context,
        }
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(FIELDS.as_slice())
    }
}

#[cfg(test)]
mod tests;
