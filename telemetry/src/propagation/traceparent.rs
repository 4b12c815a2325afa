//! `traceparent`: W3C Trace Context level 2, "Traceparent Header".

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId};

use super::OWS;
use crate::hex;

/// Length of a header of version 00: `00-` + 32 + `-` + 16 + `-` + 2. Headers of higher versions
/// have at least this length.
const LENGTH: usize = 55;
/// The flag of level 2 for trace ids whose right-most seven bytes are random.
pub(super) const RANDOM: TraceFlags = TraceFlags::new(0x02);
/// The two flags that level 2 defines. All others are cleared.
const KNOWN_FLAGS: u8 = 0x03;

/// The reason why a `traceparent` is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTraceparent {
    /// Shorter than 55 characters, or a version 00 that is longer.
    #[error("traceparent has the wrong length")]
    Length,
    /// Not two lower-case hexadecimal digits, or the forbidden `ff`.
    #[error("traceparent has an invalid version")]
    Version,
    /// Not 32 lower-case hexadecimal digits, or all zero.
    #[error("traceparent has an invalid trace id")]
    TraceId,
    /// Not 16 lower-case hexadecimal digits, or all zero.
    #[error("traceparent has an invalid parent id")]
    ParentId,
    /// Not two lower-case hexadecimal digits, or not at the end of the header or before a `-`.
    #[error("traceparent has invalid flags")]
    Flags,
    /// A field is not followed by `-`.
    #[error("traceparent has a field without its separator")]
    Separator,
}

/// The three fields of a valid header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traceparent {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) flags: TraceFlags,
}

pub(super) fn parse(header: &str) -> Result<Traceparent, InvalidTraceparent> {
    use InvalidTraceparent as Invalid;
    let bytes = trim_whitespace(header).as_bytes();
    let Some((fields, rest)) = bytes.split_at_checked(LENGTH) else {
        return Err(Invalid::Length);
    };
    let [version] = hex::decode(&fields[0..2]).ok_or(Invalid::Version)?;
    match version {
        0xff => return Err(Invalid::Version),
        0 if !rest.is_empty() => return Err(Invalid::Length),
        _ => {}
    }
    if fields[2] != b'-' || fields[35] != b'-' || fields[52] != b'-' {
        return Err(Invalid::Separator);
    }
    let trace_id = hex::decode(&fields[3..35]).ok_or(Invalid::TraceId)?;
    let span_id = hex::decode(&fields[36..52]).ok_or(Invalid::ParentId)?;
    let [flags] = hex::decode(&fields[53..55]).ok_or(Invalid::Flags)?;
    if rest.first().is_some_and(|byte| *byte != b'-') {
        return Err(Invalid::Flags);
    }
    if trace_id == [0; 16] {
        return Err(Invalid::TraceId);
    }
    if span_id == [0; 8] {
        return Err(Invalid::ParentId);
    }
    Ok(Traceparent {
        trace_id: TraceId::from_bytes(trace_id),
        span_id: SpanId::from_bytes(span_id),
        flags: TraceFlags::new(flags & KNOWN_FLAGS),
    })
}

/// Trims whitespace around the value, which is not part of it (RFC 9110, section 5.5). HTTP
/// libraries trim it, but nothing trims message attributes. A header of the usual length is
/// returned unchanged: with whitespace around it, it would be too short.
fn trim_whitespace(header: &str) -> &str {
    if header.len() == LENGTH {
        header
    } else {
        header.trim_matches(OWS)
    }
}

/// Returns a header of version 00, even if the trace was received in another version ("Versioning
/// of traceparent"). The flags are an argument, because a span of the SDK may lack those of the
/// received trace.
pub(super) fn format(span_context: &SpanContext, flags: TraceFlags) -> String {
    let mut header = Vec::with_capacity(LENGTH);
    header.extend_from_slice(b"00-");
    hex::encode(&mut header, &span_context.trace_id().to_bytes());
    header.push(b'-');
    hex::encode(&mut header, &span_context.span_id().to_bytes());
    header.push(b'-');
    hex::encode(&mut header, &[flags.to_u8() & KNOWN_FLAGS]);
    // Only ASCII was written.
    String::from_utf8(header).unwrap_or_default()
}
