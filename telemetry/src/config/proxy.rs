//! Reads `HTTPS_PROXY` and `NO_PROXY`, for collectors that cannot be reached directly.
//!
//! No specification defines these variables. The rules are those that curl and Go share; where the
//! two differ, the one that bypasses the proxy more often is used.

use std::fmt;
use std::net::IpAddr;

use percent_encoding::percent_decode_str;

use super::endpoint::{DefaultScheme, Endpoint, InvalidEndpoint};
use super::reader::{InvalidVariable, VariableReader};
use crate::otlp::json;

/// The names of each variable; the first that is set wins.
const PROXY: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

const FORM: &str = "a URL such as http://proxy:3128 or http://user:password@proxy:3128";

/// An HTTP proxy that supports `CONNECT` (RFC 9110, section 9.3.6).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    /// Without credentials.
    pub(crate) endpoint: Endpoint,
    /// The value of `Proxy-Authorization`: a secret.
    pub(crate) authorization: Option<Vec<u8>>,
}

/// The reason why a proxy URL cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidProxy {
    #[error("the scheme is not http")]
    Scheme,
    #[error(transparent)]
    Url(#[from] InvalidEndpoint),
}

/// Omits credentials.
impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// `http://proxy:3128/`, without credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(formatter)
    }
}

impl Proxy {
    /// Parses `http://user:password@host:port`. The scheme is optional, as in other programs.
    pub(crate) fn parse(url: &str) -> Result<Self, InvalidProxy> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(InvalidProxy::Scheme);
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let authority = &rest[..end];
        let (credentials, host) = match authority.rsplit_once('@') {
            Some((credentials, host)) => (Some(credentials), host),
            None => (None, authority),
        };
        Ok(Self {
            endpoint: Endpoint::parse(host, DefaultScheme::Http)?,
            authorization: credentials.map(basic),
        })
    }
}

/// Encodes credentials as in RFC 7617.
fn basic(credentials: &str) -> Vec<u8> {
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let mut plain: Vec<u8> = percent_decode_str(user).collect();
    plain.push(b':');
    plain.extend(percent_decode_str(password));
    let mut value = b"Basic ".to_vec();
    json::base64(&mut value, &plain);
    value
}

/// Reads the proxy for the endpoint. Endpoints without TLS and loopback endpoints are reached
/// directly, because a proxy cannot reach the process's own host.
pub(super) fn read(
    reader: &mut VariableReader<'_>,
    endpoint: &Endpoint,
    consequence: &'static str,
) -> Result<Option<Proxy>, InvalidVariable> {
    let exceptions = reader.text(reader.first_set(NO_PROXY));
    let name = reader.first_set(PROXY);
    let Some(url) = reader.text(name) else {
        return Ok(None);
    };
    let is_exempt = is_exempt(&exceptions.unwrap_or_default(), endpoint);
    if !endpoint.tls || is_loopback(&endpoint.host) || is_exempt {
        return Ok(None);
    }
    Proxy::parse(&url).map(Some).map_err(|error| {
        // The URL may hold a password, so it is not logged.
        let found = format!("an invalid URL ({error})");
        reader.secret_problem(name, found, FORM, consequence);
        InvalidVariable
    })
}

fn is_loopback(host: &str) -> bool {
    let is_address = |address: IpAddr| address.is_loopback();
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_address)
}

/// Returns `true` if an entry of the list, separated by commas or spaces, exempts the endpoint.
fn is_exempt(list: &str, endpoint: &Endpoint) -> bool {
    let mut entries = list
        .split([',', ' '])
        .map(str::trim)
        .filter(|entry| !entry.is_empty());
    entries.any(|entry| matches(entry, endpoint))
}

/// Returns `true` if the entry exempts the endpoint. An entry is `*`, a network such as
/// `10.0.0.0/8`, an address, or a domain including its subdomains, with or without a leading `.` or
/// `*.`. Addresses and domains may have a port.
fn matches(entry: &str, endpoint: &Endpoint) -> bool {
    let address: Option<IpAddr> = endpoint.host.parse().ok();
    if entry == "*" {
        return true;
    }
    if let Some((network, bits)) = entry.split_once('/') {
        return address.is_some_and(|address| is_within(address, network, bits));
    }
    let (name, port) = name_and_port(entry);
    if port.is_some_and(|port| port != endpoint.port) {
        return false;
    }
    if let (Some(address), Ok(excepted)) = (address, name.parse::<IpAddr>()) {
        return address == excepted;
    }
    let host = endpoint.host.trim_end_matches('.').to_ascii_lowercase();
    let domain = name.trim_start_matches('*').trim_start_matches('.');
    let domain = domain.to_ascii_lowercase();
    let before = host.strip_suffix(&domain);
    before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// Returns `true` if the address is in the network, and `false` for text that is not a network.
fn is_within(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse(), bits.parse::<u32>()) else {
        return false;
    };
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) if bits <= u32::BITS => {
            let difference = address.to_bits() ^ network.to_bits();
            difference.checked_shr(u32::BITS - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) if bits <= u128::BITS => {
            let difference = address.to_bits() ^ network.to_bits();
            difference.checked_shr(u128::BITS - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

/// Splits an entry at its port. An IPv6 address with a port has brackets.
fn name_and_port(entry: &str) -> (&str, Option<u16>) {
    let is_address = entry.parse::<IpAddr>().is_ok();
    let split = entry.rsplit_once(':').filter(|_| !is_address);
    let split = split.and_then(|(name, port)| Some((name, port.parse().ok()?)));
    let (name, port) = match split {
        Some((name, port)) => (name, Some(port)),
        None => (entry, None),
    };
    (name.trim_start_matches('[').trim_end_matches(']'), port)
}

#[cfg(test)]
mod tests;
