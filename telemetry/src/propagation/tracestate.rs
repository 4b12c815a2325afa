//! `tracestate`: W3C Trace Context level 2, "Tracestate Header".

use opentelemetry::trace::TraceState;

use super::OWS;

/// Maximum number of members in the grammar ("list"). A longer list is not a `tracestate`. The rule
/// about dropping the right-most member applies only when a member is added.
const MAX_MEMBERS: usize = 32;
/// Maximum length of a key and of a value ("Key", "Value").
const MAX_PART: usize = 256;

/// The reason why a `tracestate`, or a member of it, is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTracestate {
    /// A member violates the grammar. The whole `tracestate` is ignored.
    #[error("tracestate has a member that is not allowed")]
    Member,
    /// The whole `tracestate` is ignored.
    #[error("tracestate has more than {MAX_MEMBERS} members")]
    TooMany,
    /// A key is repeated. Only its first member is kept.
    #[error("tracestate has a duplicate key")]
    DuplicateKey,
    /// Members with keys that level 2 allows and level 1 does not are ignored.
    #[error("tracestate has a key that the OpenTelemetry SDK does not support")]
    UnsupportedKey,
}

/// Parses a `tracestate`. Returns `None` if any list member is invalid, because part of the members
/// may not be a valid position in the trace. ("A traceparent is Received", step 3, permits dropping
/// all members or one.) Calls `on_invalid` with each reason, once.
///
/// Empty members, which result from joining headers, are not counted. Of members with the same key
/// the first is kept: only one is allowed, and the left one is the most recent ("Combined Header
/// Value").
pub(super) fn parse(
    header: &str,
    mut on_invalid: impl FnMut(InvalidTracestate),
) -> Option<TraceState> {
    match members(header) {
        Ok((members, is_repeated)) => {
            if is_repeated {
                on_invalid(InvalidTracestate::DuplicateKey);
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

/// Returns the members, and true if a key is repeated.
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

/// Converts the members to the SDK's type. That type applies the rule of level 1 to `@` in keys,
/// and rejects the whole list for one such key. Such members are dropped instead, as the
/// specification permits ("Mutating the tracestate Field").
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

/// Returns true if the value is printable ASCII without `,` and `=`. A trailing space is not
/// allowed, and has already been trimmed. Leading spaces are part of the value.
fn is_valid_value(value: &str) -> bool {
    (1..=MAX_PART).contains(&value.len())
        && value
            .bytes()
            .all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=')
}
