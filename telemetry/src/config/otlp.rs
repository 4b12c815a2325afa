//! `OTEL_EXPORTER_OTLP_*` of each signal, with its own form before the general one.

use super::reader::Reader;
use crate::endpoint::{DefaultScheme, Endpoint};
use crate::header_source::HeldHeaders;
use crate::signal::Signal;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use std::sync::Arc;
use std::time::Duration;

/// The specification's default for OTLP over HTTP.
const DEFAULT_ENDPOINT: &str = "http://localhost:4318";
/// The specification's default of `OTEL_EXPORTER_OTLP_TIMEOUT`. A flush's own deadline is usually much earlier.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const NOTHING_IS_EXPORTED: &str = "the signal is not exported";

/// The variables of one signal.
struct Names {
    exporter: &'static str,
    endpoint: &'static str,
    protocol: &'static str,
    headers: &'static str,
    compression: &'static str,
    timeout: &'static str,
}

/// For the names of a signal's own variables, which must be static.
macro_rules! names {
    ($signal:literal) => {
        Names {
            exporter: concat!("OTEL_", $signal, "_EXPORTER"),
            endpoint: concat!("OTEL_EXPORTER_OTLP_", $signal, "_ENDPOINT"),
            protocol: concat!("OTEL_EXPORTER_OTLP_", $signal, "_PROTOCOL"),
            headers: concat!("OTEL_EXPORTER_OTLP_", $signal, "_HEADERS"),
            compression: concat!("OTEL_EXPORTER_OTLP_", $signal, "_COMPRESSION"),
            timeout: concat!("OTEL_EXPORTER_OTLP_", $signal, "_TIMEOUT"),
        }
    };
}

impl Names {
    fn of(signal: Signal) -> Self {
        match signal {
            Signal::Traces => names!("TRACES"),
            Signal::Metrics => names!("METRICS"),
            Signal::Logs => names!("LOGS"),
        }
    }
}

/// Where a signal goes.
#[derive(Debug, Clone)]
pub(crate) enum Export {
    Nowhere,
    /// Stdout, as OTLP/JSON lines.
    Console,
    Otlp(Otlp),
}

impl Export {
    pub(crate) fn otlp(&self) -> Option<&Otlp> {
        match self {
            Self::Nowhere | Self::Console => None,
            Self::Otlp(otlp) => Some(otlp),
        }
    }

    pub(crate) fn otlp_mut(&mut self) -> Option<&mut Otlp> {
        match self {
            Self::Nowhere | Self::Console => None,
            Self::Otlp(otlp) => Some(otlp),
        }
    }
}

/// How to reach the collector.
#[derive(Debug, Clone)]
pub(crate) struct Otlp {
    pub(crate) endpoint: Endpoint,
    pub(crate) protocol: Protocol,
    /// May hold keys: never logged, except for the names.
    pub(crate) headers: HeaderMap,
    /// Others, which win over these.
    pub(crate) held_headers: Option<Arc<HeldHeaders>>,
    /// For one request.
    pub(crate) timeout: Duration,
    pub(crate) compression: Compression,
}

/// What carries OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    HttpProtobuf,
    #[cfg(feature = "grpc")]
    Grpc,
}

/// How requests are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
}

/// Where the signal goes: nowhere, when it is not to be exported, or cannot be.
pub(super) fn read(reader: &mut Reader<'_>, signal: Signal) -> Export {
    let names = Names::of(signal);
    if reader.flag("OTEL_SDK_DISABLED") {
        return Export::Nowhere;
    }
    match reader.text(names.exporter).as_deref() {
        // Logs are on stdout in any case, and sent only where somebody asks for it.
        None if signal == Signal::Logs => Export::Nowhere,
        None | Some("otlp") => otlp(reader, signal, &names).map_or(Export::Nowhere, Export::Otlp),
        Some("none") => Export::Nowhere,
        Some("console") => Export::Console,
        Some(other) => {
            let form = "otlp, console or none";
            reader.problem(names.exporter, other, form, NOTHING_IS_EXPORTED);
            Export::Nowhere
        }
    }
}

fn otlp(reader: &mut Reader<'_>, signal: Signal, names: &Names) -> Option<Otlp> {
    if !protocol_is_http(reader, names) {
        return None;
    }
    compression(reader, names);
    Some(Otlp {
        endpoint: endpoint(reader, signal, names)?,
        protocol: Protocol::HttpProtobuf,
        headers: headers(reader, names),
        held_headers: None,
        timeout: timeout(reader, names),
        compression: Compression::None,
    })
}

fn protocol_is_http(reader: &mut Reader<'_>, names: &Names) -> bool {
    let [signal, general] = [names.protocol, "OTEL_EXPORTER_OTLP_PROTOCOL"];
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

fn compression(reader: &mut Reader<'_>, names: &Names) {
    for name in [names.compression, "OTEL_EXPORTER_OTLP_COMPRESSION"] {
        if let Some(value) = reader.text(name).filter(|value| value != "none") {
            let form = "none, the one compression of this build";
            reader.problem(name, &value, form, "requests are not compressed");
        }
    }
}

fn endpoint(reader: &mut Reader<'_>, signal: Signal, names: &Names) -> Option<Endpoint> {
    let scheme = match reader.flag("OTEL_EXPORTER_OTLP_INSECURE") {
        true => DefaultScheme::Http,
        false => DefaultScheme::Https,
    };
    let general = "OTEL_EXPORTER_OTLP_ENDPOINT";
    if let Some(url) = reader.text(names.endpoint) {
        // The per-signal form is used as it is.
        return parse_endpoint(reader, names.endpoint, &url, scheme);
    }
    let url = reader
        .text(general)
        .unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
    parse_endpoint(reader, general, &url, scheme).map(|endpoint| endpoint.join(signal.path()))
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

fn timeout(reader: &mut Reader<'_>, names: &Names) -> Duration {
    let signal = reader.milliseconds(names.timeout);
    signal
        .or_else(|| reader.milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT"))
        .unwrap_or(DEFAULT_TIMEOUT)
}

/// The headers of both forms; the per-signal one wins where both name the same.
fn headers(reader: &mut Reader<'_>, names: &Names) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in ["OTEL_EXPORTER_OTLP_HEADERS", names.headers] {
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
