//! The tracing header of AWS X-Ray: `Root=1-<8 digits>-<24 digits>;Parent=<16 digits>;Sampled=<0, 1
//! or ?>`, and other AWS fields.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use super::OWS;
use crate::hex;

/// Name of the HTTP header that AWS services read and write.
pub const XRAY_TRACE_ID_HEADER: &str = "X-Amzn-Trace-Id";
/// Name of the system attribute of an SQS message that contains such a header. It does not count as
/// one of the ten attributes of the message, nor towards its size.
pub const AWS_TRACE_HEADER: &str = "AWSTraceHeader";

/// The only version of X-Ray's trace ids.
const VERSION: &str = "1";
/// Number of bits of a trace id after X-Ray's second `-`. The four bytes before are the time at
/// which X-Ray created the id, in seconds since 1970.
const LOW_BITS: u32 = 96;

/// The content of an X-Ray header.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct XrayContext {
    /// The span in the header: remote, sampled only with `Sampled=1`, and without `tracestate`.
    ///
    /// Suitable for a link. [`XrayContext::into_parent`] returns a parent.
    pub span_context: SpanContext,
    /// X-Ray's sampling decision, `Sampled=1` or `Sampled=0`. `None` for `Sampled=?` or without
    /// `Sampled`, which leave the decision to others.
    pub decision: Option<bool>,
}

/// The reason why an X-Ray header is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidXrayHeader {
    /// `Root` is missing.
    #[error("the X-Ray header has no Root")]
    NoRoot,
    /// `Root` is not `1-`, 8 digits, `-`, 24 digits, all lower-case hexadecimal and not all zero.
    #[error("the X-Ray header has an invalid Root")]
    Root,
    /// `Parent` is missing. A load balancer that is not traced itself sends a trace id without a
    /// span.
    #[error("the X-Ray header has no Parent")]
    NoParent,
    /// `Parent` is not 16 lower-case hexadecimal digits, or all zero.
    #[error("the X-Ray header has an invalid Parent")]
    Parent,
    /// `Sampled` is not `0`, `1` or `?`.
    #[error("the X-Ray header has an invalid Sampled")]
    Sampled,
    /// `Root`, `Parent` or `Sampled` is repeated. The value consists of two headers, and neither
    /// has priority.
    #[error("the X-Ray header has a duplicate field")]
    DuplicateField,
}

/// Parses the value of `X-Amzn-Trace-Id`, or of an SQS message's `AWSTraceHeader`.
///
/// The fields may be in any order and have spaces around them. `Self`, `Lineage` and other fields
/// are ignored.
///
/// ```
/// use baton_telemetry::parse_xray_header;
///
/// let header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
/// let context = parse_xray_header(header)?;
/// assert_eq!(context.decision, Some(true));
/// assert_eq!(context.span_context.span_id().to_string(), "53995c3f42cd8ad8");
/// # Ok::<(), baton_telemetry::InvalidXrayHeader>(())
/// ```
///
/// # Errors
///
/// Returns the field that is missing or invalid. A header without `Parent` is invalid, because it
/// has no span that could be continued or linked.
pub fn parse_xray_header(header: &str) -> Result<XrayContext, InvalidXrayHeader> {
    use InvalidXrayHeader as Invalid;
    let (mut root, mut parent, mut sampled) = (None, None, None);
    for (name, value) in header.split(';').filter_map(|field| field.split_once('=')) {
        let field = match name.trim_matches(OWS) {
            "Root" => &mut root,
            "Parent" => &mut parent,
            "Sampled" => &mut sampled,
            _ => continue,
        };
        if field.replace(value.trim_matches(OWS)).is_some() {
            return Err(Invalid::DuplicateField);
        }
    }
    let trace_id = trace_id(root.ok_or(Invalid::NoRoot)?).ok_or(Invalid::Root)?;
    let span_id = span_id(parent.ok_or(Invalid::NoParent)?).ok_or(Invalid::Parent)?;
    let decision = match sampled {
        Some("1") => Some(true),
        Some("0") => Some(false),
        Some("?") | None => None,
        Some(_) => return Err(Invalid::Sampled),
    };
    let flags = TraceFlags::default().with_sampled(decision == Some(true));
    Ok(XrayContext {
        span_context: SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE),
        decision,
    })
}

impl XrayContext {
    /// Returns the span as a parent, with a sampling decision.
    ///
    /// X-Ray's `Sampled=0` means that X-Ray does not store the trace, which is its default for most
    /// requests. It says nothing about our own backend. Therefore only `Sampled=1` is adopted.
    /// Otherwise `samples_root` decides as for a new trace, usually
    /// [`Telemetry::samples_root`](crate::Telemetry::samples_root).
    #[must_use]
    pub fn into_parent(self, samples_root: impl FnOnce(TraceId) -> bool) -> SpanContext {
        let span = self.span_context;
        let sampled = self.decision == Some(true) || samples_root(span.trace_id());
        let flags = span.trace_flags().with_sampled(sampled);
        let trace_state = span.trace_state().clone();
        SpanContext::new(span.trace_id(), span.span_id(), flags, true, trace_state)
    }
}

/// Returns the header for a span. X-Ray has only the sampled flag.
pub(super) fn format(span_context: &SpanContext) -> String {
    let trace_id = u128::from_be_bytes(span_context.trace_id().to_bytes());
    format!(
        "Root={VERSION}-{:08x}-{:024x};Parent={};Sampled={}",
        trace_id >> LOW_BITS,
        trace_id & ((1 << LOW_BITS) - 1),
        span_context.span_id(),
        u8::from(span_context.is_sampled()),
    )
}

fn trace_id(root: &str) -> Option<TraceId> {
    let (seconds, unique) = root
        .strip_prefix(VERSION)?
        .strip_prefix('-')?
        .split_once('-')?;
    let seconds: [u8; 4] = hex::decode(seconds.as_bytes())?;
    let unique: [u8; 12] = hex::decode(unique.as_bytes())?;
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&seconds);
    bytes[4..].copy_from_slice(&unique);
    (bytes != [0; 16]).then(|| TraceId::from_bytes(bytes))
}

fn span_id(parent: &str) -> Option<SpanId> {
    let bytes: [u8; 8] = hex::decode(parent.as_bytes())?;
    (bytes != [0; 8]).then(|| SpanId::from_bytes(bytes))
}
