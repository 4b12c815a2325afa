//! Parsing of headers from a secret.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize as _;
use serde_json::{Deserializer, Map, Value};

/// The reason why a text is not a list of headers. States the position and never the content, which
/// may be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidHeaders {
    /// The text is empty.
    #[error("empty, expected name=value,name=value or a JSON object of names and values")]
    Empty,
    /// The text begins with a brace but is not a JSON object.
    #[error("begins with a brace but is not a JSON object")]
    NotJson,
    /// The entry at this position, counted from 1, is not a header.
    #[error("entry {0} is not a header, expected name=value as in authorization=Bearer KEY")]
    Entry(usize),
    /// The member of the JSON object at this position, counted from 1, is not a header.
    #[error("member {0} is not a header, expected \"name\": \"value\", both strings")]
    Member(usize),
}

/// Parses headers: a list `name=value,name=value` as in `OTEL_EXPORTER_OTLP_HEADERS`, or a JSON
/// object of names and values.
///
/// Values of the list are percent-decoded, and those of the object are used unchanged. All are
/// marked as sensitive.
///
/// ```
/// let headers = baton_telemetry::parse_headers("authorization=Bearer%20KEY")?;
/// assert_eq!(headers["authorization"], "Bearer KEY");
/// # Ok::<(), baton_telemetry::InvalidHeaders>(())
/// ```
///
/// # Errors
///
/// Returns an error if the text is neither.
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
