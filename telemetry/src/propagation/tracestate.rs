//! `tracestate`: W3C Trace Context level 2, "Tracestate Header".

use opentelemetry::trace::TraceState;

use super::OWS;

/// The grammar of a list ends here ("list"), so that a longer one is no `tracestate`. What the
/// specification says of the right-most member is for those who add one.
const MAX_MEMBERS: usize = 32;
/// Longest key and longest value ("Key", "Value").
const MAX_PART: usize = 256;

/// Why a `tracestate` does not count, or a member of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTracestate {
    /// A member is not what the grammar allows: nothing counts.
    #[error("tracestate has a member that is not allowed")]
    Member,
    /// Nothing counts.
    #[error("tracestate has more than {MAX_MEMBERS} members")]
    TooMany,
    /// All but the first member with that key are left out.
    #[error("tracestate has a key twice")]
    Repeated,
    /// Members with keys that level 2 allows and level 1 did not are left out.
    #[error("tracestate has a key that the OpenTelemetry SDK cannot hold")]
    UnsupportedKey,
}

/// `None` when any list-member is not what the specification allows: a vendor's position cannot be
/// half right. ("A traceparent is Received", step 3, leaves the choice between all members and
/// one.) What is left out is told to `on_invalid`, each reason once.
///
/// Members are counted without the empty ones, which only say that somebody joined headers. Of
/// members with one key the first is kept: one entry per key is allowed, and the left one is the
/// younger ("Combined Header Value").
pub(super) fn parse(
    header: &str,
    mut on_invalid: impl FnMut(InvalidTracestate),
) -> Option<TraceState> {
    match members(header) {
        Ok((members, is_repeated)) => {
            if is_repeated {
                on_invalid(InvalidTracestate::Repeated);
            }
            to_sdk_type(members, on_invalid)
        }
        Err(reason) => {
            on_invalid(reason);
            None
        }
    }
}

type Members<'a> = Vec<(&'a str, &'a str)>;

/// The members, and whether others had the key of one of them.
fn members(header: &str) -> Result<(Members<'_>, bool), InvalidTracestate> {
    let mut members = Members::new();
    let (mut count, mut is_repeated) = (0, false);
    for member in header.split(',') {
        let member = member.trim_matches(OWS);
        if member.is_empty() {
            continue;
        }
        let pair = member.split_once('=');
        let (key, value) = pair
            .filter(|(key, value)| is_valid_key(key) && is_valid_value(value))
            .ok_or(InvalidTracestate::Member)?;
        count += 1;
        if count > MAX_MEMBERS {
            return Err(InvalidTracestate::TooMany);
        }
        if members.iter().any(|(known, _)| *known == key) {
            is_repeated = true;
        } else {
            members.push((key, value));
        }
    }
    Ok((members, is_repeated))
}

/// The SDK's type still has level 1's rule for `@` in keys, and refuses the header_value list for one such
/// key: that member is left out instead, which the specification permits ("Mutating the tracestate
/// Field").
fn to_sdk_type(
    mut members: Members<'_>,
    mut on_invalid: impl FnMut(InvalidTracestate),
) -> Option<TraceState> {
    if let Ok(all) = TraceState::from_key_value(members.iter().copied()) {
        return Some(all);
    }
    on_invalid(InvalidTracestate::UnsupportedKey);
    members.retain(|member| TraceState::from_key_value([*member]).is_ok());
    TraceState::from_key_value(members).ok()
}

fn is_valid_key(key: &str) -> bool {
    let has_valid_start = key
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_lowercase() || first.is_ascii_digit());
    has_valid_start
        && key.len() <= MAX_PART
        && key.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(&byte)
        })
}

/// Printable ASCII without `,` and `=`, not ending in a space (which `trim_matches` has combined to).
/// Spaces before it are part of it.
fn is_valid_value(value: &str) -> bool {
    (1..=MAX_PART).contains(&value.len())
        && value
            .bytes()
            .all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=')
}
