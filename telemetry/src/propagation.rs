//! One [`TextMapPropagator`] for W3C Trace Context level 2 and W3C Baggage, both parsed strictly,
//! and for the header of AWS X-Ray.
//!
//! The SDK's parser pads short ids, and so continues a *different* trace. It accepts signs and
//! upper case, and clears the random flag, which level 2 requires to be kept. Its baggage parser
//! cuts values at a second `=`. Both sides of the queue must agree, so the producer and the
//! function use this propagator.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceId, TraceState};

mod additional;
mod baggage;
mod traceparent;
mod tracestate;
mod xray;

pub use additional::{AdditionalPropagators, BoxedPropagator};
pub use baggage::InvalidBaggage;
pub use traceparent::InvalidTraceparent;
pub use tracestate::InvalidTracestate;
pub use xray::{
    AWS_TRACE_HEADER, InvalidXrayHeader, XRAY_TRACE_ID_HEADER, XrayContext, parse_xray_header,
};

/// Name of the header and message attribute with the trace id, the parent span id and the flags.
pub const TRACEPARENT: &str = "traceparent";
/// Name of the header and message attribute with the vendors' positions in the trace.
pub const TRACESTATE: &str = "tracestate";
/// Name of the header and message attribute with the application's key-value pairs.
pub const BAGGAGE: &str = "baggage";

/// Whitespace around values that is not part of them (`OWS` of RFC 9110).
const OWS: [char; 2] = [' ', '\t'];

/// Fields of every set of formats, indexed by [`Propagator::format_set`]. They are static because
/// `fields` returns a borrowed list, which a propagator has no place to store.
static FIELDS: LazyLock<[Vec<String>; 8]> = LazyLock::new(|| {
    std::array::from_fn(|format_set| {
        let fields = [
            (TRACE_CONTEXT_BIT, TRACEPARENT),
            (TRACE_CONTEXT_BIT, TRACESTATE),
            (BAGGAGE_BIT, BAGGAGE),
            (XRAY_BIT, XRAY_TRACE_ID_HEADER),
        ];
        let enabled = |(bit, _): &(usize, &str)| format_set & bit != 0;
        let enabled = fields.into_iter().filter(enabled);
        enabled.map(|(_, field)| field.to_owned()).collect()
    })
});

/// Bits of the formats in the number of a set.
const TRACE_CONTEXT_BIT: usize = 1;
const BAGGAGE_BIT: usize = 2;
const XRAY_BIT: usize = 4;

/// Parses a `traceparent` and its `tracestate`.
///
/// An invalid `tracestate` is ignored, and the trace context is still valid, as the specification
/// requires (W3C Trace Context level 2, "Tracestate Header").
///
/// ```
/// use baton_telemetry::parse_trace_context;
///
/// let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let context = parse_trace_context(traceparent, Some("vendor=position"))?;
/// assert!(context.is_sampled() && context.is_remote());
/// assert_eq!(context.trace_state().get("vendor"), Some("position"));
/// # Ok::<(), baton_telemetry::InvalidTraceparent>(())
/// ```
///
/// # Errors
///
/// Returns the part of `traceparent` that the specification does not allow.
pub fn parse_trace_context(
    traceparent: &str,
    tracestate: Option<&str>,
) -> Result<SpanContext, InvalidTraceparent> {
    parse_trace_context_with(traceparent, tracestate, |_| {})
}

/// Parses a `traceparent` and its `tracestate` as [`parse_trace_context`] does. Calls `on_invalid`
/// with each reason why members of the `tracestate` are ignored, once per reason.
///
/// ```
/// use baton_telemetry::{InvalidTracestate, parse_trace_context_with};
///
/// let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let mut reasons = Vec::new();
/// parse_trace_context_with(traceparent, Some("a=1,a=2"), |reason| reasons.push(reason))?;
/// assert_eq!(reasons, [InvalidTracestate::DuplicateKey]);
/// # Ok::<(), baton_telemetry::InvalidTraceparent>(())
/// ```
///
/// # Errors
///
/// Returns the part of `traceparent` that the specification does not allow. The `tracestate` is not
/// parsed in this case.
pub fn parse_trace_context_with(
    traceparent: &str,
    tracestate: Option<&str>,
    on_invalid: impl FnMut(InvalidTracestate),
) -> Result<SpanContext, InvalidTraceparent> {
    let parsed = traceparent::parse(traceparent)?;
    let trace_state = tracestate
        .filter(|value| !value.is_empty())
        .and_then(|value| tracestate::parse(value, on_invalid))
        .unwrap_or(TraceState::NONE);
    Ok(SpanContext::new(
        parsed.trace_id,
        parsed.span_id,
        parsed.flags,
        true,
        trace_state,
    ))
}

/// Returns the context with a remote parent, and with its random flag.
///
/// An SDK span that is not sampled has no random flag, even if its parent has it. The flag must
/// nevertheless be propagated with all headers of a trace that was received with it (W3C Trace
/// Context level 2, "Random Trace ID Flag"). [`Propagator`] reads it from the returned context.
///
/// ```
/// use baton_telemetry::{parse_trace_context, with_remote_parent};
/// use opentelemetry::Context;
/// use opentelemetry::trace::TraceContextExt as _;
///
/// let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";
/// let parent = parse_trace_context(traceparent, None)?;
/// let context = with_remote_parent(&Context::new(), parent.clone());
/// assert_eq!(context.span().span_context(), &parent);
/// # Ok::<(), baton_telemetry::InvalidTraceparent>(())
/// ```
#[must_use]
pub fn with_remote_parent(context: &Context, parent: SpanContext) -> Context {
    let is_random = parent.trace_flags() & traceparent::RANDOM == traceparent::RANDOM;
    let trace_id = parent.trace_id();
    let context = context.with_remote_span_context(parent);
    if is_random {
        context.with_value(RandomTraceId(trace_id))
    } else {
        context
    }
}

/// Id of a trace that was received with the random flag. The flag does not apply to another trace
/// in the same context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RandomTraceId(TraceId);

/// Returns the context with the baggage of a `baggage` header.
///
/// Invalid members are ignored. If the header exceeds the limits (64 members, 8192 bytes), the
/// first complete members within the limits are kept.
///
/// ```
/// use baton_telemetry::with_baggage;
/// use opentelemetry::Context;
/// use opentelemetry::baggage::BaggageExt as _;
///
/// let context = with_baggage(&Context::new(), "tenant=a,invalid");
/// assert_eq!(context.baggage().get("tenant").unwrap().as_str(), "a");
/// assert_eq!(context.baggage().len(), 1);
/// ```
#[must_use]
pub fn with_baggage(context: &Context, header: &str) -> Context {
    baggage::extract(context, header)
}

/// Returns true if [`with_baggage`] finds a member in a `baggage` header. Calls `on_invalid` with
/// each reason why members are ignored, once per reason. Does not allocate.
///
/// ```
/// use baton_telemetry::{InvalidBaggage, check_baggage};
///
/// let mut reasons = Vec::new();
/// assert!(check_baggage("tenant=a,invalid", |reason| reasons.push(reason)));
/// assert_eq!(reasons, [InvalidBaggage::Member]);
/// ```
pub fn check_baggage(header: &str, on_invalid: impl FnMut(InvalidBaggage)) -> bool {
    baggage::check(header, on_invalid)
}

/// The propagator of both sides of the queue. `OTEL_PROPAGATORS` selects the formats that it reads
/// and writes.
///
/// Created by [`Propagator::default`]; its fields can then be changed:
///
/// ```
/// let mut propagator = baton_telemetry::Propagator::default();
/// propagator.xray = true;
/// assert_eq!(propagator.to_string(), "tracecontext,baggage,xray");
/// ```
///
/// A valid `traceparent` overrides X-Ray's header. The latter becomes the parent only if it
/// contains `Sampled=1`. Otherwise the root sampler would have to decide, which a propagator cannot
/// call, so a new trace starts and is sampled as such.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Propagator {
    /// Reads and writes `traceparent` and `tracestate` if true.
    pub trace_context: bool,
    /// Reads and writes `baggage` if true.
    pub baggage: bool,
    /// Reads and writes `X-Amzn-Trace-Id` if true.
    pub xray: bool,
}

impl Default for Propagator {
    /// The default of `OTEL_PROPAGATORS`: `tracecontext,baggage`.
    fn default() -> Self {
        Self {
            trace_context: true,
            baggage: true,
            ..Self::NONE
        }
    }
}

/// Writes the enabled formats as in `OTEL_PROPAGATORS`, in the order of priority.
impl fmt::Display for Propagator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (self.trace_context, "tracecontext"),
            (self.baggage, "baggage"),
            (self.xray, "xray"),
        ];
        let mut separator = "";
        for (_, name) in names.into_iter().filter(|(enabled, _)| *enabled) {
            write!(formatter, "{separator}{name}")?;
            separator = ",";
        }
        match separator {
            "" => formatter.write_str("none"),
            _ => Ok(()),
        }
    }
}

impl Propagator {
    /// A propagator that neither reads nor writes.
    pub(crate) const NONE: Self = Self {
        trace_context: false,
        baggage: false,
        xray: false,
    };

    /// Returns the number of this set of formats, from 0 to 7.
    fn format_set(&self) -> usize {
        let formats = [
            (self.trace_context, TRACE_CONTEXT_BIT),
            (self.baggage, BAGGAGE_BIT),
            (self.xray, XRAY_BIT),
        ];
        let enabled = formats.into_iter().filter(|(enabled, _)| *enabled);
        enabled.map(|(_, bit)| bit).sum()
    }

    fn remote_parent(&self, extractor: &dyn Extractor) -> Option<SpanContext> {
        self.w3c_parent(extractor)
            .or_else(|| self.xray_parent(extractor))
    }

    fn w3c_parent(&self, extractor: &dyn Extractor) -> Option<SpanContext> {
        if !self.trace_context {
            return None;
        }
        let traceparent = header_value(extractor, TRACEPARENT)?;
        let tracestate = header_value(extractor, TRACESTATE);
        parse_trace_context(&traceparent, tracestate.as_deref()).ok()
    }

    fn xray_parent(&self, extractor: &dyn Extractor) -> Option<SpanContext> {
        if !self.xray {
            return None;
        }
        let header = header_value(extractor, XRAY_TRACE_ID_HEADER)?;
        let context = parse_xray_header(&header).ok()?;
        (context.decision == Some(true)).then_some(context.span_context)
    }
}

impl TextMapPropagator for Propagator {
    /// Writes only fields with a value: SQS rejects an empty message attribute, and the
    /// specification advises against an empty `tracestate`.
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let span = cx.span();
        let span_context = span.span_context();
        if self.trace_context && span_context.is_valid() {
            let mut flags = span_context.trace_flags();
            if cx.get() == Some(&RandomTraceId(span_context.trace_id())) {
                flags = flags | traceparent::RANDOM;
            }
            injector.set(TRACEPARENT, traceparent::format(span_context, flags));
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
        if self.xray && span_context.is_valid() {
            injector.set(XRAY_TRACE_ID_HEADER, xray::format(span_context));
        }
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let context = match self.remote_parent(extractor) {
            Some(remote) => with_remote_parent(cx, remote),
            None => cx.clone(),
        };
        match header_value(extractor, BAGGAGE).filter(|_| self.baggage) {
            Some(header) => with_baggage(&context, &header),
            None => context,
        }
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&FIELDS[self.format_set()])
    }
}

/// Returns the value of a header, joined from all its lines (RFC 9110, section 5.3). Two lines of
/// `tracestate` are one value, and a second `traceparent` makes both invalid.
fn header_value<'a>(extractor: &'a dyn Extractor, name: &str) -> Option<Cow<'a, str>> {
    match extractor.get_all(name)?.as_slice() {
        [] => None,
        [line] => Some(Cow::Borrowed(*line)),
        lines => Some(Cow::Owned(lines.join(","))),
    }
}

#[cfg(test)]
mod tests;
