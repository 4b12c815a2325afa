//! `baggage`: W3C Baggage, "Baggage HTTP Header Format".

use opentelemetry::Context;
use opentelemetry::baggage::{BaggageExt as _, KeyValueMetadata};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::OWS;

/// Number of bytes that must be propagated (section "Limits"). Members beyond it may be dropped,
/// but only whole.
const MAX_LENGTH: usize = 8192;
/// Number of list members that must be propagated.
const MAX_MEMBERS: usize = 64;
/// Characters that are percent-encoded in a value: everything outside `baggage-octet`, and `%`
/// itself.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b',')
    .add(b';')
    .add(b'\\')
    .add(b'%');

/// The reason why members of a `baggage` header are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBaggage {
    /// Some members violate the grammar. Others are valid.
    #[error("baggage has a member that is not allowed")]
    Member,
    /// Members after the 64th are ignored.
    #[error("baggage has more than {MAX_MEMBERS} members")]
    TooMany,
    /// Members that end beyond the limit are ignored.
    #[error("baggage is longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// No valid member remains.
    #[error("baggage has no valid members")]
    NoMembers,
}

/// Returns the context with the members of a header. The first members within the limits are kept:
/// their cost is bounded, and dropping all would lose more than the specification requires.
pub(super) fn extract(context: &Context, header: &str) -> Context {
    let (kept, _) = split_at_limit(header);
    let members = non_empty_members(kept)
        .filter_map(Member::parse)
        .map(Member::decode);
    let members: Vec<_> = members.take(MAX_MEMBERS).collect();
    if members.is_empty() {
        context.clone()
    } else {
        context.with_baggage(members)
    }
}

/// Returns true if [`extract`] finds a member, and reports why others are ignored. Builds nothing.
pub(super) fn check(header: &str, mut on_invalid: impl FnMut(InvalidBaggage)) -> bool {
    let (kept, rest) = split_at_limit(header);
    let (mut valid, mut invalid) = (0, 0);
    for text in non_empty_members(kept) {
        match Member::parse(text) {
            Some(_) => valid += 1,
            None => invalid += 1,
        }
    }
    let is_too_long = non_empty_members(rest).next().is_some();
    if valid > 0 && invalid > 0 {
        on_invalid(InvalidBaggage::Member);
    }
    if valid > MAX_MEMBERS {
        on_invalid(InvalidBaggage::TooMany);
    }
    if is_too_long {
        on_invalid(InvalidBaggage::TooLong);
    }
    if valid == 0 && (invalid > 0 || is_too_long) {
        on_invalid(InvalidBaggage::NoMembers);
    }
    valid > 0
}

/// Splits a header into the complete list members in the first [`MAX_LENGTH`] bytes, and the rest.
fn split_at_limit(header: &str) -> (&str, &str) {
    let Some(start) = header.as_bytes().get(..=MAX_LENGTH) else {
        return (header, "");
    };
    let end = start.iter().rposition(|byte| *byte == b',');
    let parts = end.and_then(|end| header.split_at_checked(end));
    parts.unwrap_or(("", header))
}

/// Returns the list members that are not empty. Empty ones result from joining headers.
fn non_empty_members(header: &str) -> impl Iterator<Item = &str> {
    let members = header.split(',').map(|member| member.trim_matches(OWS));
    members.filter(|member| !member.is_empty())
}

/// A valid `key=value;properties`, still encoded.
struct Member<'a> {
    key: &'a str,
    value: &'a str,
    properties: &'a str,
}

impl<'a> Member<'a> {
    /// Parses a member. Returns `None` if it violates the grammar, which invalidates only this
    /// member ("Mutating baggage"). The value may contain `=`.
    fn parse(text: &'a str) -> Option<Self> {
        let (pair, properties) = text.split_once(';').unwrap_or((text, ""));
        let (key, value) = pair.split_once('=')?;
        let (key, value) = (key.trim_matches(OWS), value.trim_matches(OWS));
        let is_valid = is_token(key)
            && value.bytes().all(is_baggage_octet)
            && self::properties(properties).all(|property| property.is_valid());
        is_valid.then_some(Self {
            key,
            value,
            properties,
        })
    }

    /// Decodes the value. Percent sequences that are not UTF-8 become U+FFFD, as the specification
    /// requires.
    fn decode(self) -> KeyValueMetadata {
        let value = percent_decode_str(self.value);
        let properties = canonical_properties(self.properties).unwrap_or_default();
        KeyValueMetadata::new(
            self.key.to_owned(),
            value.decode_utf8_lossy().into_owned(),
            properties.as_str(),
        )
    }
}

/// Returns the header for the baggage of a context, or `None` if it has none.
///
/// Members are sorted by key, so that the limits always drop the same members of the same baggage.
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
        // Metadata that are not properties come from the application. The value is sent without
        // them.
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

/// Returns properties without whitespace, still percent-encoded. Returns `None` if one violates the
/// grammar.
fn canonical_properties(text: &str) -> Option<String> {
    let mut canonical = String::new();
    for property in properties(text) {
        if !property.is_valid() {
            return None;
        }
        if !canonical.is_empty() {
            canonical.push(';');
        }
        canonical.push_str(property.key);
        if let Some(value) = property.value {
            canonical.push('=');
            canonical.push_str(value);
        }
    }
    Some(canonical)
}

/// A `key` or `key=value` after a `;`.
struct Property<'a> {
    key: &'a str,
    value: Option<&'a str>,
}

impl Property<'_> {
    fn is_valid(&self) -> bool {
        is_token(self.key) && self.value.unwrap_or_default().bytes().all(is_baggage_octet)
    }
}

/// Returns the properties that are not empty.
fn properties(text: &str) -> impl Iterator<Item = Property<'_>> {
    let properties = text
        .split(';')
        .map(|property| match property.split_once('=') {
            Some((key, value)) => Property {
                key: key.trim_matches(OWS),
                value: Some(value.trim_matches(OWS)),
            },
            None => Property {
                key: property.trim_matches(OWS),
                value: None,
            },
        });
    properties.filter(|property| !property.key.is_empty() || property.value.is_some())
}

/// Returns true if the text is a `token` of RFC 7230, as a key must be.
fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

/// Returns true for a `baggage-octet`: visible ASCII without `"`, `,`, `;` and `\`.
fn is_baggage_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)
}
