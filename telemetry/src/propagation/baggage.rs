//! `baggage`: W3C Baggage, section 3.

use opentelemetry::Context;
use opentelemetry::baggage::{BaggageExt as _, KeyValueMetadata};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// A header that is longer does not have to be propagated (section 3.3.2); a part of it must not be.
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

pub(super) fn extract(context: &Context, header: &str) -> Context {
    if header.len() > MAX_LENGTH {
        return context.clone();
    }
    let members: Vec<_> = header.split(',').filter_map(member).collect();
    if members.is_empty() || members.len() > MAX_MEMBERS {
        return context.clone();
    }
    context.with_baggage(members)
}

/// One `key=value;properties`. The value may contain `=`; percent sequences that are not UTF-8 become U+FFFD, as the specification says.
fn member(text: &str) -> Option<KeyValueMetadata> {
    let (pair, properties) = text.split_once(';').unwrap_or((text, ""));
    let (key, value) = pair.split_once('=')?;
    let (key, value) = (key.trim(), value.trim());
    if key.is_empty() || !key.bytes().all(is_token) {
        return None;
    }
    let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
    Some(KeyValueMetadata::new(
        key.to_owned(),
        value,
        properties.trim(),
    ))
}

/// `None` when there is no baggage: nothing is written then.
pub(super) fn format(context: &Context) -> Option<String> {
    let mut header = String::new();
    for (key, (value, metadata)) in context.baggage() {
        if !key.as_str().bytes().all(is_token) {
            continue;
        }
        if !header.is_empty() {
            header.push(',');
        }
        header.push_str(key.as_str());
        header.push('=');
        header.extend(utf8_percent_encode(value.as_str(), ENCODED));
        if !metadata.as_str().is_empty() {
            header.push(';');
            header.push_str(metadata.as_str());
        }
    }
    Some(header).filter(|header| !header.is_empty())
}

/// `token` of RFC 7230, which a key must be.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
