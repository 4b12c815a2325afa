//! Where a signal's collector is, and what it speaks: the protocol and the endpoint explain each
//! other.

use super::names::Names;
use super::{NOTHING_IS_EXPORTED, Protocol};
use crate::config::reader::Reader;
use crate::config::{DefaultScheme, Endpoint};
use crate::otlp::Signal;

/// The specification's defaults.
const DEFAULT_HTTP_ENDPOINT: &str = "http://localhost:4318";
const DEFAULT_GRPC_ENDPOINT: &str = "http://localhost:4317";
/// The port that is registered for OTLP over gRPC.
const GRPC_PORT: u16 = 4317;
/// The port on which collectors take OTLP over HTTP: without a scheme in front of it as well.
const HTTP_PORT: u16 = 4318;

/// Protocols that this build supports. Others (`http/json` and, without the feature, `grpc`) are
/// ignored, and the endpoint decides.
const PROTOCOLS: &[(&str, Wire)] = &[
    ("http/protobuf", Wire::Http),
    #[cfg(feature = "grpc")]
    ("grpc", Wire::Grpc),
];
#[cfg(feature = "grpc")]
const PROTOCOL_FORM: &str = "http/protobuf or grpc";
#[cfg(not(feature = "grpc"))]
const PROTOCOL_FORM: &str = "http/protobuf with a URL such as http://localhost:4318 (grpc takes a build with the feature `grpc`)";
#[cfg(not(feature = "grpc"))]
const ENDPOINT_WITHOUT_GRPC_FORM: &str = "a URL for http/protobuf such as http://localhost:4318 or https://ingress.eu2.coralogix.com (gRPC takes a build with the feature `grpc`)";
const ENDPOINT_FORM: &str =
    "a URL such as http://localhost:4318 or https://ingress.eu2.coralogix.com";

/// What a collector can be spoken to with, in a build with everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Http,
    Grpc,
}

/// An endpoint as it is given.
struct Given {
    variable: &'static str,
    endpoint: Endpoint,
    has_scheme: bool,
    /// Whether it is for all signals.
    is_general: bool,
}

/// A variable that is set and wrong: the problem has been reported.
struct Unusable;

/// The endpoint and the protocol of the signal; `None` if the endpoint cannot be used, or implies a
/// protocol that this build does not support.
pub(super) fn read(
    reader: &mut Reader<'_>,
    signal: Signal,
    names: &Names,
) -> Option<(Endpoint, Protocol)> {
    // Both are looked at before anything is given up, so that every problem is told at the first
    // start.
    let stated = reader.first_choice(names.protocol, PROTOCOL_FORM, PROTOCOLS);
    let given = given(reader, names).ok()?;
    let wire = stated.unwrap_or_else(|| given.as_ref().map_or(Wire::Http, Given::wire));
    let Some(protocol) = wire.protocol() else {
        if let Some(given) = &given {
            report_grpc(reader, given);
        }
        return None;
    };
    let endpoint = match (given, wire) {
        (Some(given), wire) => given.complete(reader, signal, wire),
        (None, Wire::Http) => default(DEFAULT_HTTP_ENDPOINT)?.join(signal.path()),
        (None, Wire::Grpc) => default(DEFAULT_GRPC_ENDPOINT)?,
    };
    Some((endpoint, protocol))
}

fn default(url: &str) -> Option<Endpoint> {
    Endpoint::parse(url, DefaultScheme::Http).ok()
}

/// An endpoint that is set and wrong is no reason to send the spans, and perhaps keys, somewhere
/// else: nothing is exported then.
fn given(reader: &mut Reader<'_>, names: &Names) -> Result<Option<Given>, Unusable> {
    let insecure = reader.first_set(names.insecure);
    let scheme = match reader.flag(insecure) {
        true => DefaultScheme::Http,
        false => DefaultScheme::Https,
    };
    let variable = reader.first_set(names.endpoint);
    let Some(url) = reader.text(variable) else {
        return Ok(None);
    };
    match Endpoint::parse(&url, scheme) {
        Ok(endpoint) => Ok(Some(Given {
            variable,
            endpoint,
            has_scheme: url.contains("://"),
            is_general: variable == names.endpoint[1],
        })),
        Err(error) => {
            // It may hold a key where none belongs, so it is not repeated.
            let found = format!("one that cannot be used ({error})");
            reader.secret_problem(variable, found, ENDPOINT_FORM, NOTHING_IS_EXPORTED);
            Err(Unusable)
        }
    }
}

impl Wire {
    /// Nothing where this build cannot speak it.
    const fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Http => Some(Protocol::HttpProtobuf),
            #[cfg(feature = "grpc")]
            Self::Grpc => Some(Protocol::Grpc),
            #[cfg(not(feature = "grpc"))]
            Self::Grpc => None,
        }
    }
}

impl Given {
    /// What the endpoint means where no protocol is given. Who leaves the scheme out writes as for
    /// gRPC, whose endpoints have none, unless the port says otherwise.
    fn wire(&self) -> Wire {
        match (self.has_scheme, self.endpoint.port) {
            (_, GRPC_PORT) => Wire::Grpc,
            (true, _) | (false, HTTP_PORT) => Wire::Http,
            (false, _) => Wire::Grpc,
        }
    }

    fn complete(self, reader: &mut Reader<'_>, signal: Signal, wire: Wire) -> Endpoint {
        match wire {
            Wire::Http if self.is_general => self.endpoint.join(signal.path()),
            Wire::Http => self.endpoint,
            Wire::Grpc => {
                if self.endpoint.path != "/" {
                    let form = "an endpoint without a path, for gRPC";
                    let found = "one with a path".to_owned();
                    reader.secret_problem(self.variable, found, form, "the path is left out");
                }
                self.endpoint.without_path()
            }
        }
    }
}

/// Returns the reason why the endpoint implies gRPC, which this build does not support.
#[cfg(not(feature = "grpc"))]
fn report_grpc(reader: &mut Reader<'_>, given: &Given) {
    let found = match given.endpoint.port {
        GRPC_PORT => "port 4317, which means gRPC",
        _ if given.endpoint.tls => "no scheme, which means gRPC over TLS",
        _ => "no scheme, which means gRPC",
    };
    let form = ENDPOINT_WITHOUT_GRPC_FORM;
    reader.secret_problem(given.variable, found.to_owned(), form, NOTHING_IS_EXPORTED);
}

#[cfg(feature = "grpc")]
fn report_grpc(_: &mut Reader<'_>, _: &Given) {}
