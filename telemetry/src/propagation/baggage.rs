//! `baggage`: W3C Baggage, "Baggage HTTP Header Format".

use super::OWS;
use opentelemetry::Context;
use opentelemetry::baggage::{BaggageExt as _, KeyValueMetadata};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// Bytes that must be propagated (section "Limits"). What is beyond may be dropped, list-member by list-member and never a part of one.
const MAX_LENGTH: usize = 8192;
/// Likewise for the number of list-members.
const MAX_MEMBERS: usize = 64;
/// What a value cannot carry as it is: everything outside `baggage-octet`, and `%` itself.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b',')
    .add(b';')
    .add(b'\\')
    .add(b'%');

/// Of a header over the limits the first members are kept, as many as the limits allow: they cost a bounded time, and losing all would lose
/// more than the specification asks for.
pub(super) fn extract(context: &Context, header: &str) -> Context {
    let members = within_length(header).split(',').filter_map(member);
    let members: Vec<_> = members.take(MAX_MEMBERS).collect();
    match members.is_empty() {
        true => context.clone(),
        false => context.with_baggage(members),
    }
}

/// The whole list-members in the first [`MAX_LENGTH`] bytes.
fn within_length(header: &str) -> &str {
    let Some(start) = header.as_bytes().get(..=MAX_LENGTH) else {
        return header;
    };
    let end = start.iter().rposition(|byte| *byte == b',');
    end.and_then(|end| header.get(..end)).unwrap_or_default()
}

/// One `key=value;properties`; `None` when it is not what the grammar allows, which removes this member and no other ("Mutating baggage").
///
/// The value may contain `=`; percent sequences that are not UTF-8 become U+FFFD, as the specification says.
fn member(text: &str) -> Option<KeyValueMetadata> {
    let (pair, properties) = text.split_once(';').unwrap_or((text, ""));
    let (key, value) = pair.split_once('=')?;
    let (key, value) = (key.trim_matches(OWS), value.trim_matches(OWS));
    if !is_token(key) || !value.bytes().all(is_octet) {
        return None;
    }
    let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
    let properties = canonical_properties(properties)?;
    Some(KeyValueMetadata::new(
        key.to_owned(),
        value,
        properties.as_str(),
    ))
}

/// `None` when there is no baggage: nothing is written then.
///
/// Members go in the order of their keys, so that the same baggage always loses the same members where the limits make it lose any.
pub(super) fn format(context: &Context) -> Option<String> {
    let baggage = context.baggage();
    let mut entries: Vec<_> = baggage
        .iter()
        .filter(|(key, _)| is_token(key.as_str()))
        .collect();
    entries.sort_unstable_by_key(|(key, _)| key.as_str());
    let mut header = String::new();
    for (key, (value, metadata)) in entries.into_iter().take(MAX_MEMBERS) {
        let before = header.len();
        if before > 0 {
            header.push(',');
        }
        header.push_str(key.as_str());
        header.push('=');
        header.extend(utf8_percent_encode(value.as_str(), ENCODED));
        // Metadata that are no properties come from the application; the value is better sent without them than not at all.
        let properties = canonical_properties(metadata.as_str()).unwrap_or_default();
        if !properties.is_empty() {
            header.push(';');
            header.push_str(&properties);
        }
        if header.len() > MAX_LENGTH {
            header.truncate(before);
        }
    }
    Some(header).filter(|header| !header.is_empty())
}

/// Properties as they travel: percent-encoded as they came, without the whitespace. `None` when one is not what the grammar allows.
fn canonical_properties(text: &str) -> Option<String> {
    let mut canonical = String::new();
    for property in text.split(';') {
        let (key, value) = match property.split_once('=') {
            Some((key, value)) => (key.trim_matches(OWS), Some(value.trim_matches(OWS))),
            None => (property.trim_matches(OWS), None),
        };
        // A `;` with nothing behind it says nothing.
        if key.is_empty() && value.is_none() {
            continue;
        }
        if !is_token(key) || !value.unwrap_or_default().bytes().all(is_octet) {
            return None;
        }
        if !canonical.is_empty() {
            canonical.push(';');
        }
        canonical.push_str(key);
        if let Some(value) = value {
            canonical.push('=');
            canonical.push_str(value);
        }
    }
    Some(canonical)
}

/// `token` of RFC 7230, which a key must be.
fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

/// `baggage-octet`: visible ASCII without `"`, `,`, `;` and `\`.
fn is_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)
}
