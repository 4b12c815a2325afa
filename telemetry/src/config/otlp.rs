//! `OTEL_EXPORTER_OTLP_*` of each signal, with its own form before the general one.

use std::fmt;
use std::time::Duration;

use http::HeaderMap;

use self::exporters::Exporters;
use self::names::Names;
use super::certificates::{self, Certificates};
use super::proxy;
use super::reader::Reader;
use crate::config::{Endpoint, Proxy};
use crate::otlp::Signal;

mod exporters;
mod headers;
mod names;
mod route;

pub(crate) use headers::header_list;

/// The specification's default of `OTEL_EXPORTER_OTLP_TIMEOUT`. A flush's own deadline is usually
/// much earlier.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// What the specification's zero, no limit, comes to: more than any flush has.
const NO_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// Followed by the signals.
const NOTHING_IS_EXPORTED: &str = "nothing is exported";

/// Where a signal goes.
#[allow(
    clippy::large_enum_variant,
    reason = "a process has three of them, and keeps none"
)]
#[derive(Debug, Clone)]
pub(crate) enum Export {
    Nowhere,
    /// Stdout, as OTLP/JSON lines.
    Console,
    Otlp(Otlp),
    /// Each record is sent to both.
    OtlpAndConsole(Otlp),
}

impl Export {
    pub(crate) fn otlp(&self) -> Option<&Otlp> {
        match self {
            Self::Nowhere | Self::Console => None,
            Self::Otlp(otlp) | Self::OtlpAndConsole(otlp) => Some(otlp),
        }
    }
}

/// How to reach the collector.
#[derive(Debug, Clone)]
pub(crate) struct Otlp {
    /// With the signal's path for HTTP, and with none for gRPC.
    pub(crate) endpoint: Endpoint,
    pub(crate) protocol: Protocol,
    /// May hold keys: never logged, except for the names.
    pub(crate) headers: HeaderMap,
    /// Others, which win over these.
    /// Proxy for connections to the endpoint; `None` means a direct connection.
    pub(crate) proxy: Option<Proxy>,
    /// For one request.
    pub(crate) timeout: Duration,
    pub(crate) compression: Compression,
    /// Whom to trust, and who to be, where the endpoint has TLS.
    pub(crate) certificates: Certificates,
}

/// What carries OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    HttpProtobuf,
    #[cfg(feature = "grpc")]
    Grpc,
}

/// As in `OTEL_EXPORTER_OTLP_PROTOCOL`.
impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::HttpProtobuf => "http/protobuf",
            #[cfg(feature = "grpc")]
            Self::Grpc => "grpc",
        })
    }
}

/// How requests are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
}

/// As in `OTEL_EXPORTER_OTLP_COMPRESSION`.
impl fmt::Display for Compression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
        })
    }
}

/// Where the signal goes: nowhere, when it is not to be exported, or cannot be.
pub(super) fn read(reader: &mut Reader<'_>, signal: Signal) -> Export {
    reader.of(signal, |reader| export(reader, signal))
}

fn export(reader: &mut Reader<'_>, signal: Signal) -> Export {
    let names = Names::of(signal);
    let exporters = exporters::read(reader, names.exporter);
    let exporters = exporters.unwrap_or(Exporters {
        // Log lines always go to stdout, so sending log records is opt-in.
        otlp: signal != Signal::Logs,
        console: false,
    });
    let otlp = match exporters.otlp {
        true => otlp(reader, signal, &names),
        false => None,
    };
    match (otlp, exporters.console) {
        (None, false) => Export::Nowhere,
        (None, true) => Export::Console,
        // Log lines on stdout already are the console output for log records.
        (Some(otlp), true) if signal != Signal::Logs => Export::OtlpAndConsole(otlp),
        (Some(otlp), _) => Export::Otlp(otlp),
    }
}

/// Returns the route to the collector, or `None` if a setting cannot be used.
fn otlp(reader: &mut Reader<'_>, signal: Signal, names: &Names) -> Option<Otlp> {
    let route = route::read(reader, signal, names);
    let headers = headers::read(reader, names.headers);
    let timeout = timeout(reader, names);
    let compression = compression(reader, names);
    let (endpoint, protocol) = route?;
    let names = certificates::Names {
        authorities: names.authorities,
        client_certificate: names.client_certificate,
        client_key: names.client_key,
    };
    let certificates = certificates::read(reader, &names, &endpoint);
    let proxy = proxy::read(reader, &endpoint, NOTHING_IS_EXPORTED).ok()?;
    let certificates = certificates?;
    Some(Otlp {
        endpoint,
        protocol,
        headers,
        proxy,
        timeout,
        compression,
        certificates,
    })
}

fn timeout(reader: &mut Reader<'_>, names: &Names) -> Duration {
    let timeout = reader.first_milliseconds(names.timeout);
    match timeout.unwrap_or(DEFAULT_TIMEOUT) {
        Duration::ZERO => NO_TIMEOUT,
        timeout => timeout,
    }
}

fn compression(reader: &mut Reader<'_>, names: &Names) -> Compression {
    let choices = [("none", Compression::None), ("gzip", Compression::Gzip)];
    reader
        .first_choice(names.compression, "gzip or none", &choices)
        .unwrap_or(Compression::None)
}

#[cfg(test)]
mod tests;
