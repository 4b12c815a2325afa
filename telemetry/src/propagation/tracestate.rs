//! `tracestate`: W3C Trace Context level 2, "Tracestate Header".

use super::OWS;
use opentelemetry::trace::TraceState;

/// The grammar of a list ends here ("list"), so that a longer one is no `tracestate`. What the specification says of the right-most member is for
/// those who add one.
const MAX_MEMBERS: usize = 32;
/// Longest key and longest value ("Key", "Value").
const MAX_PART: usize = 256;

/// `None` when any list-member is not what the specification allows: a vendor's position cannot be half right. ("A traceparent is Received",
/// step 3, leaves the choice between all members and one.)
///
/// Members are counted without the empty ones, which only say that somebody joined headers. Of members with one key the first is kept: one entry
/// per key is allowed, and the left one is the younger ("Combined Header Value").
pub(super) fn parse(header: &str) -> Option<TraceState> {
    let mut members: Vec<(&str, &str)> = Vec::new();
    let mut count = 0;
    for member in header.split(',') {
        let member = member.trim_matches(OWS);
        if member.is_empty() {
            continue;
        }
        let (key, value) = member.split_once('=')?;
        if !valid_key(key) || !valid_value(value) {
            return None;
        }
        count += 1;
        if count > MAX_MEMBERS {
            return None;
        }
        if !members.iter().any(|(known, _)| *known == key) {
            members.push((key, value));
        }
    }
    held_by_the_sdk(members)
}

/// The SDK's type still has level 1's rule for `@` in keys, and refuses the whole list for one such key: that member is left out instead, which
/// the specification permits ("Mutating the tracestate Field").
fn held_by_the_sdk(mut members: Vec<(&str, &str)>) -> Option<TraceState> {
    if let Ok(all) = TraceState::from_key_value(members.iter().copied()) {
        return Some(all);
    }
    members.retain(|member| TraceState::from_key_value([*member]).is_ok());
    TraceState::from_key_value(members).ok()
}

fn valid_key(key: &str) -> bool {
    let starts_well = key
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_lowercase() || first.is_ascii_digit());
    starts_well
        && key.len() <= MAX_PART
        && key.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(&byte)
        })
}

/// Printable ASCII without `,` and `=`, not ending in a space (which `trim_matches` has seen to). Spaces before it are part of it.
fn valid_value(value: &str) -> bool {
    (1..=MAX_PART).contains(&value.len())
        && value
            .bytes()
            .all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=')
}
