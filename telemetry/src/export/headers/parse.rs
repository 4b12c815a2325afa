//! What a secret must hold.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize as _;
use serde_json::{Deserializer, Map, Value};

/// What is wrong with a text that should be headers. Says where, and never what: it may be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidHeaders {
    /// Nothing in it.
    #[error("it is empty, expected name=value,name=value or a JSON object of names and values")]
    Empty,
    /// Begins as a JSON object does, and is none.
    #[error("it begins with a brace and is no JSON object")]
    NotJson,
    /// This entry, counted from 1, is no header.
    #[error("entry {0} is no header, expected name=value as in authorization=Bearer KEY")]
    Entry(usize),
    /// This member of the JSON object, counted from 1, is no header.
    #[error("member {0} is no header, expected \"name\": \"value\", both strings")]
    Member(usize),
}

/// Reads headers: a list `name=value,name=value`, as `OTEL_EXPORTER_OTLP_HEADERS` has them, or a
/// JSON object of names and values.
///
/// Values of the list are percent-decoded, those of the object are taken as they are. All are
/// marked as sensitive.
///
/// # Errors
///
/// When the text is neither.
pub fn parse_headers(text: &str) -> Result<HeaderMap, InvalidHeaders> {
    let text = text.trim();
    if text.is_empty() {
        return Err(InvalidHeaders::Empty);
    }
    if text.starts_with('{') {
        return object(text);
    }
    let list = crate::config::header_list(text).map_err(InvalidHeaders::Entry)?;
    Ok(list.into_iter().collect())
}

fn object(text: &str) -> Result<HeaderMap, InvalidHeaders> {
    let mut deserializer = Deserializer::from_str(text);
    let members = Map::<String, Value>::deserialize(&mut deserializer)
        .and_then(|members| deserializer.end().map(|()| members))
        .map_err(|_| InvalidHeaders::NotJson)?;
    if members.is_empty() {
        return Err(InvalidHeaders::Empty);
    }
    let members = members.iter().enumerate();
    members
        .map(|(index, (name, value))| header(name, value).ok_or(InvalidHeaders::Member(index + 1)))
        .collect()
}

fn header(name: &str, value: &Value) -> Option<(HeaderName, HeaderValue)> {
    let mut value = HeaderValue::try_from(value.as_str()?.trim()).ok()?;
    value.set_sensitive(true);
    Some((HeaderName::try_from(name.trim()).ok()?, value))
}
