//! `OTEL_EXPORTER_OTLP_HEADERS`: what may hold a key.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::super::pairs::pair;
use super::super::reader::Reader;

/// The headers of both forms; the signal's own win where both name the same.
pub(super) fn read(reader: &mut Reader<'_>, [own, general]: [&'static str; 2]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in [general, own] {
        let list = reader.text(name).unwrap_or_default();
        match header_list(&list) {
            Ok(list) => list.into_iter().for_each(|(key, value)| {
                headers.insert(key, value);
            }),
            Err(position) => {
                let form = "a list name=value,name=value, as in authorization=Bearer KEY";
                let found = format!("something else as entry {position}");
                reader.secret_problem(name, found, form, "all of it is left out");
            }
        }
    }
    headers
}

/// The error is the position, from 1, of the first entry that is no header: its text may be a key.
pub(crate) fn header_list(list: &str) -> Result<Vec<(HeaderName, HeaderValue)>, usize> {
    let entries = list.split(',').filter(|entry| !entry.trim().is_empty());
    entries
        .enumerate()
        .map(|(index, entry)| header(entry).ok_or(index + 1))
        .collect()
}

fn header(entry: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = pair(entry)?;
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some((HeaderName::try_from(name).ok()?, value))
}
