//! The tracing header of AWS X-Ray: `Root=1-<8 digits>-<24 digits>;Parent=<16 digits>;Sampled=<0, 1
//! or ?>`, and fields of AWS's own.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use super::{OWS, hex};

/// Name of the HTTP header that AWS services read and write.
pub const XRAY_TRACE_ID_HEADER: &str = "X-Amzn-Trace-Id";
/// Name of the system attribute of an SQS message whose value is such a header. It takes none of
/// the message's ten slots and none of its size.
pub const AWS_TRACE_HEADER: &str = "AWSTraceHeader";

/// The one version of X-Ray's trace ids.
const VERSION: &str = "1";
/// What a trace id has behind X-Ray's second `-`; before it are the first four bytes, seconds since
/// 1970 where X-Ray made the id.
const LOW_BITS: u32 = 96;

/// What an X-Ray header says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct XrayContext {
    /// The span that the header names: remote, sampled only when the header says `Sampled=1`, and
    /// without `tracestate`.
    ///
    /// Right for a link. For a parent there is [`XrayContext::into_parent`].
    pub span_context: SpanContext,
    /// X-Ray's own decision, `Sampled=1` or `Sampled=0`; `None` when it left that to others, with
    /// `Sampled=?` or not a word.
    pub decision: Option<bool>,
}

/// Why an X-Ray header does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidXrayHeader {
    /// There is no `Root`.
    #[error("the X-Ray header has no Root")]
    NoRoot,
    /// `Root` is not `1-`, 8 digits, `-`, 24 digits, all lower-case hexadecimal and not all zero.
    #[error("the X-Ray header has an invalid Root")]
    Root,
    /// There is no `Parent`: a load balancer that is not traced itself names a trace and no span in
    /// it.
    #[error("the X-Ray header has no Parent")]
    NoParent,
    /// `Parent` is not 16 lower-case hexadecimal digits, or all zero.
    #[error("the X-Ray header has an invalid Parent")]
    Parent,
    /// `Sampled` is there and not `0`, `1` or `?`.
    #[error("the X-Ray header has an invalid Sampled")]
    Sampled,
    /// `Root`, `Parent` or `Sampled` is there twice: two headers in one, and nothing says which is
    /// meant.
    #[error("the X-Ray header has a field twice")]
    Repeated,
}

/// Parses the value of `X-Amzn-Trace-Id`, or of an SQS message's `AWSTraceHeader`.
///
/// The fields may come in any order and with spaces around them; `Self`, `Lineage` and all others
/// are passed over.
///
/// # Errors
///
/// Says which field is not what X-Ray writes. A header without `Parent` is one of them: it names no
/// span that could be continued or linked to.
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
            return Err(Invalid::Repeated);
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
    /// The span as a parent, sampled or not.
    ///
    /// X-Ray's `Sampled=0` means that X-Ray keeps nothing, which is so for most requests by its
    /// default rule; it is no word about the backend that we export to. So only `Sampled=1`
    /// decides. Otherwise `samples_root` does, as it would for a new trace: usually
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

/// The header of a span of ours. Of the flags X-Ray knows the sampled one only.
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
    let seconds: [u8; 4] = hex::bytes(seconds.as_bytes())?;
    let unique: [u8; 12] = hex::bytes(unique.as_bytes())?;
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&seconds);
    bytes[4..].copy_from_slice(&unique);
    (bytes != [0; 16]).then(|| TraceId::from_bytes(bytes))
}

fn span_id(parent: &str) -> Option<SpanId> {
    let bytes: [u8; 8] = hex::bytes(parent.as_bytes())?;
    (bytes != [0; 8]).then(|| SpanId::from_bytes(bytes))
}
