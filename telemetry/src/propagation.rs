//! W3C Trace Context level 2 and W3C Baggage, parsed to the letter, and AWS X-Ray's header, as one
//! [`TextMapPropagator`].
//!
//! The SDK's own parser pads short ids (and so continues a *different* trace), accepts signs and
//! upper case, and clears the random flag that level 2 says must be kept; its baggage parser cuts
//! values at a second `=`. Both sides of the queue must agree, so this is the propagator of the
//! producer and of the function.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceId, TraceState};

mod baggage;
mod hex;
mod traceparent;
mod tracestate;
mod xray;

pub use baggage::InvalidBaggage;
pub use traceparent::InvalidTraceparent;
pub use tracestate::InvalidTracestate;
pub use xray::{
    AWS_TRACE_HEADER, InvalidXrayHeader, XRAY_TRACE_ID_HEADER, XrayContext, parse_xray_header,
};

/// Name of the header, and of the message attribute, that carries trace id, parent span id and
/// flags.
pub const TRACEPARENT: &str = "traceparent";
/// Name of the header, and of the message attribute, that carries the vendors' positions in the
/// trace.
pub const TRACESTATE: &str = "tracestate";
/// Name of the header, and of the message attribute, that carries the application's own key-value
/// pairs.
pub const BAGGAGE: &str = "baggage";

/// Whitespace that may stand around values and is no part of them (`OWS` of RFC 9110).
const OWS: [char; 2] = [' ', '\t'];

/// The fields of every format_set of formats, by [`Propagator::format_set`]: a propagator lends
/// its list out, and has no place for it.
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

/// The formats in the number of a format_set.
const TRACE_CONTEXT_BIT: usize = 1;
const BAGGAGE_BIT: usize = 2;
const XRAY_BIT: usize = 4;

/// Parses a `traceparent` and the `tracestate` that came with it.
///
/// A `tracestate` that does not parse is dropped without touching the trace context, as the
/// specification demands (W3C Trace Context level 2, "Tracestate Header").
///
/// # Errors
///
/// Says which part of `traceparent` is not what the specification allows.
pub fn parse_trace_context(
    traceparent: &str,
    tracestate: Option<&str>,
) -> Result<SpanContext, InvalidTraceparent> {
    parse_trace_context_with(traceparent, tracestate, |_| {})
}

/// [`parse_trace_context`], and tells `on_invalid` what of the `tracestate` does not count, each reason
/// once.
///
/// # Errors
///
/// As there: the `tracestate` has not been looked at then.
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

/// Puts a remote parent into a context, and beside it what the SDK's spans forget of it.
///
/// A span that is not sampled has no random flag in the SDK, even when its parent had it; but the
/// flag must go out with every header of a trace that came in with it (W3C Trace Context level 2,
/// "Random Trace ID Flag"). [`Propagator`] finds it in the context then.
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

/// The trace that came in with the random flag. A trace of another id in the same context did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RandomTraceId(TraceId);

/// Puts the baggage of a `baggage` header into a context.
///
/// Members that are not what the specification allows are left out; of a header over its limits (64
/// members, 8192 bytes) the first members are kept, each header_value.
#[must_use]
pub fn with_baggage(context: &Context, header: &str) -> Context {
    baggage::extract(context, header)
}

/// Whether [`with_baggage`] finds a member in a `baggage` header; tells `on_invalid` why others do not
/// count, each reason once. Allocates nothing.
pub fn check_baggage(header: &str, on_invalid: impl FnMut(InvalidBaggage)) -> bool {
    baggage::check(header, on_invalid)
}

/// The propagator of both sides of the queue: which formats it reads and writes comes from
/// `OTEL_PROPAGATORS`.
///
/// It is made by [`Propagator::default`] and changed from there:
///
/// ```
/// let mut propagator = baton_telemetry::Propagator::default();
/// propagator.xray = true;
/// assert_eq!(propagator.to_string(), "tracecontext,baggage,xray");
/// ```
///
/// A valid `traceparent` wins over X-Ray's header. The latter is taken as a parent only when it
/// says `Sampled=1`: any other word leaves the decision to the root sampler, which a propagator
/// cannot ask, so that a new trace begins and the sampler is asked for that.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Propagator {
    /// Whether `traceparent` and `tracestate` are read and written.
    pub trace_context: bool,
    /// Whether `baggage` is read and written.
    pub baggage: bool,
    /// Whether `X-Amzn-Trace-Id` is read and written.
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

/// As in `OTEL_PROPAGATORS`, in the order in which carriers are tried.
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
    /// Reads nothing and writes nothing.
    pub(crate) const NONE: Self = Self {
        trace_context: false,
        baggage: false,
        xray: false,
    };

    /// Which of the eight combinations of formats this is.
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
    /// Writes only what has a value: SQS refuses an empty message attribute, and the specification
    /// advises against an empty `tracestate`.
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

/// A header's value, joined from all its lines as HTTP defines it (RFC 9110, section 5.3): a
/// `tracestate` in two lines is one, and a second `traceparent` makes both invalid.
fn header_value<'a>(extractor: &'a dyn Extractor, name: &str) -> Option<Cow<'a, str>> {
    match extractor.get_all(name)?.as_slice() {
        [] => None,
        [line] => Some(Cow::Borrowed(*line)),
        lines => Some(Cow::Owned(lines.join(","))),
    }
}

#[cfg(test)]
mod tests;
