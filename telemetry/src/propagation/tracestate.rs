//! `tracestate`: W3C Trace Context level 2, section 3.3.

use opentelemetry::trace::TraceState;

/// More list-members than this make the header invalid (section 3.3.1.1).
const MAX_MEMBERS: usize = 32;
/// Longest key and longest value (sections 3.3.1.3.1 and 3.3.1.3.2).
const MAX_PART: usize = 256;

/// `None` when any list-member is not what the specification allows: a vendor's position cannot be half right.
pub(super) fn parse(header: &str) -> Option<TraceState> {
    let mut members = Vec::new();
    for member in header.split(',') {
        let member = member.trim_matches([' ', '\t']);
        if member.is_empty() {
            continue;
        }
        let (key, value) = member.split_once('=')?;
        if !valid_key(key) || !valid_value(value) {
            return None;
        }
        members.push((key, value));
    }
    if members.len() > MAX_MEMBERS {
        return None;
    }
    // The SDK's type still has level 1's rule for `@` in keys and refuses the whole list for one such key: that member is left out instead.
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

/// Printable ASCII without `,` and `=`, not ending in a space (which `trim_matches` has seen to).
fn valid_value(value: &str) -> bool {
    (1..=MAX_PART).contains(&value.len())
        && value
            .bytes()
            .all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=')
}
