//! `OTEL_EXPORTER_OTLP_*` for traces, with the per-signal form before the general one.

use super::reader::Reader;
use crate::endpoint::{DefaultScheme, Endpoint};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use std::time::Duration;

/// The specification's default for OTLP over HTTP.
const DEFAULT_ENDPOINT: &str = "http://localhost:4318";
/// The specification's default of `OTEL_EXPORTER_OTLP_TIMEOUT`. A flush's own deadline is usually much earlier.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// What a general endpoint is followed by (OTLP exporter specification, "Endpoint URLs for OTLP/HTTP").
const TRACES_PATH: &str = "/v1/traces";
const NOTHING_IS_EXPORTED: &str = "no traces are exported";

/// How to reach the collector.
#[derive(Debug, Clone)]
pub(crate) struct Otlp {
    pub(crate) endpoint: Endpoint,
    /// May hold keys: never logged, except for the names.
    pub(crate) headers: HeaderMap,
    /// For one request.
    pub(crate) timeout: Duration,
}

/// `None` when traces are not to be exported, or cannot be.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Otlp> {
    if reader.flag("OTEL_SDK_DISABLED") || !exporter_is_otlp(reader) || !protocol_is_http(reader) {
        return None;
    }
    compression(reader);
    Some(Otlp {
        endpoint: endpoint(reader)?,
        headers: headers(reader),
        timeout: timeout(reader),
    })
}

fn exporter_is_otlp(reader: &mut Reader<'_>) -> bool {
    const NAME: &str = "OTEL_TRACES_EXPORTER";
    match reader.text(NAME).as_deref() {
        None | Some("otlp") => true,
        Some("none") => false,
        Some(other) => {
            reader.problem(NAME, other, "otlp or none", NOTHING_IS_EXPORTED);
            false
        }
    }
}

fn protocol_is_http(reader: &mut Reader<'_>) -> bool {
    let [signal, general] = [
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ];
    let name = if reader.text(signal).is_some() {
        signal
    } else {
        general
    };
    match reader.text(name).as_deref() {
        None | Some("http/protobuf") => true,
        Some(other) => {
            let form = "http/protobuf, the one protocol of this build";
            reader.problem(name, other, form, NOTHING_IS_EXPORTED);
            false
        }
    }
}

fn compression(reader: &mut Reader<'_>) {
    for name in [
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
        "OTEL_EXPORTER_OTLP_COMPRESSION",
    ] {
        if let Some(value) = reader.text(name).filter(|value| value != "none") {
            let form = "none, the one compression of this build";
            reader.problem(name, &value, form, "requests are not compressed");
        }
    }
}

fn endpoint(reader: &mut Reader<'_>) -> Option<Endpoint> {
    let scheme = match reader.flag("OTEL_EXPORTER_OTLP_INSECURE") {
        true => DefaultScheme::Http,
        false => DefaultScheme::Https,
    };
    let [signal, general] = [
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ];
    if let Some(url) = reader.text(signal) {
        // The per-signal form is used as it is.
        return parse_endpoint(reader, signal, &url, scheme);
    }
    let url = reader
        .text(general)
        .unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
    parse_endpoint(reader, general, &url, scheme).map(|endpoint| endpoint.join(TRACES_PATH))
}

/// An endpoint that is set and wrong is no reason to send the spans, and perhaps keys, somewhere else: nothing is exported then.
fn parse_endpoint(
    reader: &mut Reader<'_>,
    name: &'static str,
    url: &str,
    scheme: DefaultScheme,
) -> Option<Endpoint> {
    let form = "a URL such as http://localhost:4318 or https://ingress.eu2.coralogix.com";
    match Endpoint::parse(url, scheme) {
        Ok(endpoint) => Some(endpoint),
        Err(error) => {
            // It may hold a key where none belongs, so it is not repeated.
            let found = format!("one that cannot be used ({error})");
            reader.secret_problem(name, found, form, NOTHING_IS_EXPORTED);
            None
        }
    }
}

fn timeout(reader: &mut Reader<'_>) -> Duration {
    let signal = reader.milliseconds("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT");
    signal
        .or_else(|| reader.milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT"))
        .unwrap_or(DEFAULT_TIMEOUT)
}

/// The headers of both forms; the per-signal one wins where both name the same.
fn headers(reader: &mut Reader<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in [
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    ] {
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
fn header_list(list: &str) -> Result<Vec<(HeaderName, HeaderValue)>, usize> {
    let entries = list.split(',').filter(|entry| !entry.trim().is_empty());
    entries
        .enumerate()
        .map(|(index, entry)| header(entry).ok_or(index + 1))
        .collect()
}

fn header(entry: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = key_value(entry)?;
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some((HeaderName::try_from(name).ok()?, value))
}

/// `key=value,key=value` with percent-encoded values; the error is the first member that is none.
pub(super) fn key_values(list: &str) -> Result<Vec<(String, String)>, String> {
    let members = list.split(',').filter(|member| !member.trim().is_empty());
    members
        .map(|member| key_value(member).ok_or_else(|| member.trim().to_owned()))
        .collect()
}

fn key_value(member: &str) -> Option<(String, String)> {
    let (key, value) = member.split_once('=')?;
    let key = key.trim();
    let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
    (!key.is_empty()).then(|| (key.to_owned(), value.into_owned()))
}
