//! The scheme, host and port that the client used, as forwarded by reverse proxies.
//!
//! The order is that of the HTTP conventions
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>, "Setting `server.address` and
//! `server.port` attributes"): the header `Forwarded` (RFC 7239), then `X-Forwarded-Proto`, `-Host`
//! and `-Port`, then the request itself. Each of the three values is looked up separately. The
//! first element of a list is used, because the proxy next to the client wrote it.
//!
//! Any client can send these headers. They are therefore used for telemetry only, and values that
//! do not parse or are longer than a host name are ignored.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use axum::extract::Request;
use http::HeaderMap;
use http::header::{FORWARDED, HOST};
use http::uri::Authority;

const X_FORWARDED_PROTO: &str = "x-forwarded-proto";
const X_FORWARDED_HOST: &str = "x-forwarded-host";
const X_FORWARDED_PORT: &str = "x-forwarded-port";

/// Length of the longest DNS host name. Longer values are ignored so that a header cannot inflate a
/// span.
const MAX_HOST_BYTES: usize = 253;

/// The scheme of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UrlScheme {
    Http,
    Https,
}

/// The scheme, host and port that the client used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) scheme: UrlScheme,
    /// `None` if the request does not name a host.
    pub(crate) server: Option<Server>,
}

/// The host and port that the client used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// A lower-case name or an address; IPv6 without brackets.
    pub(crate) address: String,
    pub(crate) port: u16,
}

/// A host and the port next to it, if any.
struct HostAndPort {
    host: String,
    port: Option<u16>,
}

/// The first element of `Forwarded`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Forwarded<'a> {
    proto: Option<Cow<'a, str>>,
    host: Option<Cow<'a, str>>,
}

impl Target {
    /// Reads the values of a request. Invalid headers are ignored.
    pub(crate) fn from_request(request: &Request) -> Self {
        let headers = request.headers();
        let forwarded = Forwarded::from_headers(headers);
        let x_forwarded = |name| read_first_element(headers, name);
        let scheme = forwarded.proto.as_deref().and_then(UrlScheme::parse);
        // This server speaks HTTP without TLS.
        let scheme = scheme
            .or_else(|| x_forwarded(X_FORWARDED_PROTO).and_then(UrlScheme::parse))
            .unwrap_or(UrlScheme::Http);
        let original = forwarded.host.as_deref().and_then(HostAndPort::parse);
        let original =
            original.or_else(|| x_forwarded(X_FORWARDED_HOST).and_then(HostAndPort::parse));
        let forwarded_port = x_forwarded(X_FORWARDED_PORT).and_then(parse_port);
        let server = match original {
            Some(original) => Some((original.host, original.port.or(forwarded_port))),
            // A proxy may have replaced the host with that of its own target, whose port the client
            // did not use.
            None => HostAndPort::from_request(request)
                .map(|own| (own.host, forwarded_port.or(own.port))),
        };
        Self {
            scheme,
            server: server.map(|(address, port)| Server {
                address,
                port: port.unwrap_or(scheme.default_port()),
            }),
        }
    }
}

impl UrlScheme {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// Reads a scheme, whose case does not matter. Schemes other than `http` and `https` are
    /// ignored.
    fn parse(text: &str) -> Option<Self> {
        let schemes = [Self::Http, Self::Https];
        let mut schemes = schemes.into_iter();
        schemes.find(|scheme| text.eq_ignore_ascii_case(scheme.as_str()))
    }
}

impl HostAndPort {
    fn parse(text: &str) -> Option<Self> {
        Self::from_authority(&text.parse().ok()?)
    }

    /// Reads the host of the request line or of the header `Host`.
    fn from_request(request: &Request) -> Option<Self> {
        if let Some(authority) = request.uri().authority() {
            return Self::from_authority(authority);
        }
        Self::parse(request.headers().get(HOST)?.to_str().ok()?)
    }

    fn from_authority(authority: &Authority) -> Option<Self> {
        let host = authority.host();
        let in_brackets = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = match in_brackets {
            Some(address) => address.parse::<Ipv6Addr>().ok()?.to_string(),
            None if is_host_name(host) => host.to_ascii_lowercase(),
            None => return None,
        };
        Some(Self {
            host,
            port: authority
                .port()
                .and_then(|found| parse_port(found.as_str())),
        })
    }
}

/// Returns `true` if the text can be a host name or an IPv4 address. The URI grammar allows more
/// characters, which would be recorded in spans.
fn is_host_name(host: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (1..=MAX_HOST_BYTES).contains(&host.len()) && host.bytes().all(is_allowed)
}

impl<'a> Forwarded<'a> {
    /// Reads the first element. An element that does not parse counts as empty.
    fn from_headers(headers: &'a HeaderMap) -> Self {
        let value = headers.get(FORWARDED).and_then(|value| value.to_str().ok());
        value.and_then(Self::parse).unwrap_or_default()
    }

    /// Parses the first element of a value such as
    /// `for=192.0.2.60;proto=https;host="api.example.com:8443", for=…`.
    fn parse(text: &'a str) -> Option<Self> {
        let mut forwarded = Self::default();
        let mut rest = text;
        loop {
            rest = rest.trim_start();
            if rest.is_empty() || rest.starts_with(',') {
                return Some(forwarded);
            }
            if let Some(after) = rest.strip_prefix(';') {
                rest = after;
                continue;
            }
            let (name, after) = rest.split_once('=')?;
            let (value, after) = read_value(after)?;
            let slot = match name.trim_end().to_ascii_lowercase().as_str() {
                "proto" => Some(&mut forwarded.proto),
                "host" => Some(&mut forwarded.host),
                _ => None,
            };
            slot.map(|slot| slot.get_or_insert(value));
            rest = after.trim_start();
            if !rest.is_empty() && !rest.starts_with([';', ',']) {
                return None;
            }
        }
    }
}

/// Reads a token or a quoted string. Returns it with the text after it.
fn read_value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let text = text.trim_start();
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        return Some((text[..end].trim_end().into(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    loop {
        match characters.next()? {
            (at, '"') => return Some((value.into(), &quoted[at + 1..])),
            (_, '\\') => value.push(characters.next()?.1),
            (_, character) => value.push(character),
        }
    }
}

/// Returns the first element of a header that is a list, without quotes.
fn read_first_element<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let first = headers.get(name)?.to_str().ok()?.split(',').next()?.trim();
    let quoted = first
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    Some(quoted.unwrap_or(first))
}

/// Reads a port. Port 0 is ignored.
fn parse_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests;
