//! Endpoint and protocol of a signal's collector. Each can imply the other.

use super::{EXPORT_DISABLED, OtlpProtocol, VariableNames};
use crate::config::reader::{InvalidVariable, VariableReader};
use crate::config::{DefaultScheme, Endpoint};
use crate::otlp::Signal;

/// Default endpoints in the specification.
const DEFAULT_HTTP_ENDPOINT: &str = "http://localhost:4318";
const DEFAULT_GRPC_ENDPOINT: &str = "http://localhost:4317";
/// The port that is registered for OTLP over gRPC.
const GRPC_PORT: u16 = 4317;
/// The port on which collectors accept OTLP over HTTP. It implies HTTP even without a scheme.
const HTTP_PORT: u16 = 4318;

/// Protocols that this build supports. Others (`http/json` and, without the feature, `grpc`) are
/// ignored, and the endpoint implies the protocol.
const PROTOCOLS: &[(&str, WireProtocol)] = &[
    ("http/protobuf", WireProtocol::Http),
    #[cfg(feature = "grpc")]
    ("grpc", WireProtocol::Grpc),
];
#[cfg(feature = "grpc")]
const PROTOCOL_FORM: &str = "http/protobuf or grpc";
#[cfg(not(feature = "grpc"))]
const PROTOCOL_FORM: &str = "http/protobuf with a URL such as http://localhost:4318 (grpc requires a build with the feature `grpc`)";
#[cfg(not(feature = "grpc"))]
const ENDPOINT_WITHOUT_GRPC_FORM: &str = "a URL for http/protobuf such as http://localhost:4318 or https://ingress.eu2.coralogix.com (gRPC requires a build with the feature `grpc`)";
const ENDPOINT_FORM: &str =
    "a URL such as http://localhost:4318 or https://ingress.eu2.coralogix.com";

/// The protocols of a build with all features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WireProtocol {
    Http,
    Grpc,
}

/// An endpoint in the environment.
struct ConfiguredEndpoint {
    variable: &'static str,
    endpoint: Endpoint,
    has_scheme: bool,
    /// True for the variable for all signals.
    is_general: bool,
}

/// Reads endpoint and protocol of the signal. Returns `None` if the endpoint is invalid, or implies
/// a protocol that this build does not support.
pub(super) fn read(
    reader: &mut VariableReader<'_>,
    signal: Signal,
    names: &VariableNames,
) -> Option<(Endpoint, OtlpProtocol)> {
    // Both are read before a failure is returned, so that the first start reports every problem.
    let stated = reader.first_choice(names.protocol, PROTOCOL_FORM, PROTOCOLS);
    let configured = configured_endpoint(reader, names).ok()?;
    let wire = stated.unwrap_or_else(|| {
        configured
            .as_ref()
            .map_or(WireProtocol::Http, ConfiguredEndpoint::wire)
    });
    let Some(protocol) = wire.protocol() else {
        if let Some(configured) = &configured {
            report_grpc(reader, configured);
        }
        return None;
    };
    let endpoint = match (configured, wire) {
        (Some(configured), wire) => configured.complete(reader, signal, wire),
        (None, WireProtocol::Http) => default(DEFAULT_HTTP_ENDPOINT)?.join(signal.path()),
        (None, WireProtocol::Grpc) => default(DEFAULT_GRPC_ENDPOINT)?,
    };
    Some((endpoint, protocol))
}

fn default(url: &str) -> Option<Endpoint> {
    Endpoint::parse(url, DefaultScheme::Http).ok()
}

/// Reads the endpoint. An invalid endpoint is an error rather than the default, because spans, and
/// perhaps keys, must not be sent elsewhere.
fn configured_endpoint(
    reader: &mut VariableReader<'_>,
    names: &VariableNames,
) -> Result<Option<ConfiguredEndpoint>, InvalidVariable> {
    let insecure = reader.first_set(names.insecure);
    let scheme = if reader.flag(insecure) {
        DefaultScheme::Http
    } else {
        DefaultScheme::Https
    };
    let variable = reader.first_set(names.endpoint);
    let Some(url) = reader.text(variable) else {
        return Ok(None);
    };
    match Endpoint::parse(&url, scheme) {
        Ok(endpoint) => Ok(Some(ConfiguredEndpoint {
            variable,
            endpoint,
            has_scheme: url.contains("://"),
            is_general: variable == names.endpoint[1],
        })),
        Err(error) => {
            // The URL may contain a key in the wrong place, so it is not logged.
            let found = format!("an invalid URL ({error})");
            reader.secret_problem(variable, found, ENDPOINT_FORM, EXPORT_DISABLED);
            Err(InvalidVariable)
        }
    }
}

impl WireProtocol {
    /// Returns `None` if this build does not support the protocol.
    const fn protocol(self) -> Option<OtlpProtocol> {
        match self {
            Self::Http => Some(OtlpProtocol::HttpProtobuf),
            #[cfg(feature = "grpc")]
            Self::Grpc => Some(OtlpProtocol::Grpc),
            #[cfg(not(feature = "grpc"))]
            Self::Grpc => None,
        }
    }
}

impl ConfiguredEndpoint {
    /// Returns the protocol that the endpoint implies. Without a scheme it looks like an endpoint
    /// for gRPC, unless its port is that of HTTP.
    fn wire(&self) -> WireProtocol {
        match (self.has_scheme, self.endpoint.port) {
            (_, GRPC_PORT) => WireProtocol::Grpc,
            (true, _) | (false, HTTP_PORT) => WireProtocol::Http,
            (false, _) => WireProtocol::Grpc,
        }
    }

    fn complete(
        self,
        reader: &mut VariableReader<'_>,
        signal: Signal,
        wire: WireProtocol,
    ) -> Endpoint {
        match wire {
            WireProtocol::Http if self.is_general => self.endpoint.join(signal.path()),
            WireProtocol::Http => self.endpoint,
            WireProtocol::Grpc => {
                if self.endpoint.path != "/" {
                    let form = "a gRPC endpoint without a path";
                    let found = "a path".to_owned();
                    reader.secret_problem(self.variable, found, form, "the path is ignored");
                }
                self.endpoint.without_path()
            }
        }
    }
}

/// Reports an endpoint that implies gRPC, which this build does not support.
#[cfg(not(feature = "grpc"))]
fn report_grpc(reader: &mut VariableReader<'_>, configured: &ConfiguredEndpoint) {
    let found = match configured.endpoint.port {
        GRPC_PORT => "port 4317, which means gRPC",
        _ if configured.endpoint.tls => "no scheme, which means gRPC over TLS",
        _ => "no scheme, which means gRPC",
    };
    let form = ENDPOINT_WITHOUT_GRPC_FORM;
    reader.secret_problem(configured.variable, found.to_owned(), form, EXPORT_DISABLED);
}

#[cfg(feature = "grpc")]
fn report_grpc(_: &mut VariableReader<'_>, _: &ConfiguredEndpoint) {}
