//! `OTEL_*_EXPORTER` and `OTEL_EXPORTER_OTLP_*`. The variable of a signal takes precedence over the
//! one for all signals.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::certificates::{self, CertificateVariables, Certificates};
use super::proxy;
use super::reader::{VariableReader, parse_pair};
use crate::config::{Endpoint, Proxy};
use crate::otlp::Signal;

mod route;

/// Default of `OTEL_EXPORTER_OTLP_TIMEOUT` in the specification. The deadline of a flush is usually
/// much earlier.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout for a value of zero, which means no limit: more time than any flush has.
const NO_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// Consequence of an invalid variable. The names of the signals follow it.
const EXPORT_DISABLED: &str = "export is disabled";
const EXPORTERS_FORM: &str = "a list of otlp and console, or none";

/// The exporters of a signal, with the connection to the collector.
#[allow(
    clippy::large_enum_variant,
    reason = "a process has three, and only at start"
)]
#[derive(Debug, Clone)]
pub(crate) enum ExporterConfig {
    None,
    /// Stdout, as OTLP/JSON lines.
    Console,
    Otlp(OtlpConfig),
    /// Both: each record is sent to the collector and to stdout.
    OtlpAndConsole(OtlpConfig),
    /// An exporter that the program provides, with the name of its type. Not from the environment.
    Sdk(&'static str),
}

impl ExporterConfig {
    pub(crate) fn otlp(&self) -> Option<&OtlpConfig> {
        match self {
            Self::None | Self::Console | Self::Sdk(_) => None,
            Self::Otlp(otlp) | Self::OtlpAndConsole(otlp) => Some(otlp),
        }
    }
}

/// The exporters in the list of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SelectedExporters {
    otlp: bool,
    console: bool,
}

/// The configuration of a connection to a collector.
#[derive(Debug, Clone)]
pub(crate) struct OtlpConfig {
    /// For HTTP with the path of the signal, for gRPC without a path.
    pub(crate) endpoint: Endpoint,
    pub(crate) protocol: OtlpProtocol,
    /// Headers of every request. The values may be keys and are never logged.
    pub(crate) headers: HeaderMap,
    /// Proxy for connections to the endpoint; `None` means a direct connection.
    pub(crate) proxy: Option<Proxy>,
    /// Time limit of one request.
    pub(crate) timeout: Duration,
    pub(crate) compression: OtlpCompression,
    /// Trusted authorities and client certificate for endpoints with TLS.
    pub(crate) certificates: Certificates,
}

/// The protocol that carries OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OtlpProtocol {
    HttpProtobuf,
    #[cfg(feature = "grpc")]
    Grpc,
}

/// The value of `OTEL_EXPORTER_OTLP_PROTOCOL`.
impl fmt::Display for OtlpProtocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::HttpProtobuf => "http/protobuf",
            #[cfg(feature = "grpc")]
            Self::Grpc => "grpc",
        })
    }
}

/// Compression of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OtlpCompression {
    None,
    Gzip,
}

/// The value of `OTEL_EXPORTER_OTLP_COMPRESSION`.
impl fmt::Display for OtlpCompression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
        })
    }
}

/// Reads the exporters of a signal: [`ExporterConfig::None`] if it is not to be exported, or cannot
/// be.
pub(super) fn read(reader: &mut VariableReader<'_>, signal: Signal) -> ExporterConfig {
    reader.for_signal(signal, |reader| exporter_config(reader, signal))
}

fn exporter_config(reader: &mut VariableReader<'_>, signal: Signal) -> ExporterConfig {
    let names = VariableNames::new(signal);
    let exporters = exporters(reader, names.exporter);
    let exporters = exporters.unwrap_or(SelectedExporters {
        // Log lines always go to stdout, so sending log records is opt-in.
        otlp: signal != Signal::Logs,
        console: false,
    });
    let otlp = if exporters.otlp {
        otlp(reader, signal, &names)
    } else {
        None
    };
    match (otlp, exporters.console) {
        (None, false) => ExporterConfig::None,
        (None, true) => ExporterConfig::Console,
        // Log lines on stdout already are the console output for log records.
        (Some(otlp), true) if signal != Signal::Logs => ExporterConfig::OtlpAndConsole(otlp),
        (Some(otlp), _) => ExporterConfig::Otlp(otlp),
    }
}

/// Returns the connection to the collector, or `None` if a setting is invalid.
fn otlp(
    reader: &mut VariableReader<'_>,
    signal: Signal,
    names: &VariableNames,
) -> Option<OtlpConfig> {
    let route = route::read(reader, signal, names);
    let headers = headers(reader, names.headers);
    let timeout = timeout(reader, names);
    let compression = compression(reader, names);
    let (endpoint, protocol) = route?;
    let names = CertificateVariables {
        authorities: names.authorities,
        client_certificate: names.client_certificate,
        client_key: names.client_key,
    };
    let certificates = certificates::read(reader, &names, &endpoint);
    let proxy = proxy::read(reader, &endpoint, EXPORT_DISABLED).ok()?;
    let certificates = certificates?;
    Some(OtlpConfig {
        endpoint,
        protocol,
        headers,
        proxy,
        timeout,
        compression,
        certificates,
    })
}

/// Reads the list of exporters. Returns `None` if the variable is unset. Unknown members are
/// ignored, and if all are unknown, the variable counts as unset (OpenTelemetry specification,
/// "Enum": warn, and ignore the setting).
fn exporters(reader: &mut VariableReader<'_>, name: &'static str) -> Option<SelectedExporters> {
    let text = reader.text(name)?;
    let members = text.split(',').map(str::trim);
    let members: Vec<&str> = members.filter(|member| !member.is_empty()).collect();
    let has = |known: &str| {
        let mut members = members.iter();
        members.any(|member| member.eq_ignore_ascii_case(known))
    };
    let (otlp, console, none) = (has("otlp"), has("console"), has("none"));
    let is_known = otlp || console || none;
    let consequence = if is_known {
        "this entry is ignored"
    } else {
        "the default is used"
    };
    let known = ["otlp", "console", "none"];
    for member in &members {
        if !known.iter().any(|known| member.eq_ignore_ascii_case(known)) {
            reader.problem(name, member, EXPORTERS_FORM, consequence);
        }
    }
    // A value that consists only of commas is reported as a whole.
    if members.is_empty() {
        reader.problem(name, &text, EXPORTERS_FORM, consequence);
    }
    // A list with an exporter requests an export, even if it also has `none`.
    if none && (otlp || console) {
        reader.problem(name, &text, EXPORTERS_FORM, "none is ignored");
    }
    is_known.then_some(SelectedExporters { otlp, console })
}

/// Reads the headers of both variables. Those of the signal take precedence.
fn headers(reader: &mut VariableReader<'_>, [own, general]: [&'static str; 2]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in [general, own] {
        let list = reader.text(name).unwrap_or_default();
        match header_list(&list) {
            Ok(list) => list.into_iter().for_each(|(key, value)| {
                headers.insert(key, value);
            }),
            Err(position) => {
                let form =
                    "a list of the form name=value,name=value, such as authorization=Bearer KEY";
                let found = format!("an invalid entry at position {position}");
                reader.secret_problem(name, found, form, "all headers of the variable are ignored");
            }
        }
    }
    headers
}

/// Parses a list of headers. The error is the position, from 1, of the first invalid entry, whose
/// text may be a key.
pub(crate) fn header_list(list: &str) -> Result<Vec<(HeaderName, HeaderValue)>, usize> {
    let entries = list.split(',').filter(|entry| !entry.trim().is_empty());
    entries
        .enumerate()
        .map(|(index, entry)| header(entry).ok_or(index + 1))
        .collect()
}

fn header(entry: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = parse_pair(entry)?;
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some((HeaderName::try_from(name).ok()?, value))
}

fn timeout(reader: &mut VariableReader<'_>, names: &VariableNames) -> Duration {
    let timeout = reader.first_milliseconds(names.timeout);
    match timeout.unwrap_or(DEFAULT_TIMEOUT) {
        Duration::ZERO => NO_TIMEOUT,
        timeout => timeout,
    }
}

fn compression(reader: &mut VariableReader<'_>, names: &VariableNames) -> OtlpCompression {
    let choices = [
        ("none", OtlpCompression::None),
        ("gzip", OtlpCompression::Gzip),
    ];
    reader
        .first_choice(names.compression, "gzip or none", &choices)
        .unwrap_or(OtlpCompression::None)
}

/// Names of one signal's variables. A pair holds the variable of the signal and the one for all
/// signals.
struct VariableNames {
    exporter: &'static str,
    endpoint: [&'static str; 2],
    insecure: [&'static str; 2],
    protocol: [&'static str; 2],
    headers: [&'static str; 2],
    compression: [&'static str; 2],
    timeout: [&'static str; 2],
    authorities: [&'static str; 2],
    client_certificate: [&'static str; 2],
    client_key: [&'static str; 2],
}

// The names must be static, so the compiler concatenates them.
macro_rules! both {
    ($signal:literal, $setting:literal) => {
        [
            concat!("OTEL_EXPORTER_OTLP_", $signal, "_", $setting),
            concat!("OTEL_EXPORTER_OTLP_", $setting),
        ]
    };
}

macro_rules! names {
    ($signal:literal) => {
        VariableNames {
            exporter: concat!("OTEL_", $signal, "_EXPORTER"),
            endpoint: both!($signal, "ENDPOINT"),
            insecure: both!($signal, "INSECURE"),
            protocol: both!($signal, "PROTOCOL"),
            headers: both!($signal, "HEADERS"),
            compression: both!($signal, "COMPRESSION"),
            timeout: both!($signal, "TIMEOUT"),
            authorities: both!($signal, "CERTIFICATE"),
            client_certificate: both!($signal, "CLIENT_CERTIFICATE"),
            client_key: both!($signal, "CLIENT_KEY"),
        }
    };
}

impl VariableNames {
    const fn new(signal: Signal) -> Self {
        match signal {
            Signal::Traces => names!("TRACES"),
            Signal::Metrics => names!("METRICS"),
            Signal::Logs => names!("LOGS"),
        }
    }
}

#[cfg(test)]
mod tests;
