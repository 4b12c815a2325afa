//! Parsed URLs of peers.

use std::fmt;

use http::uri::{Authority, Uri};

/// Scheme, host, port and path of an HTTP peer. It never contains credentials, because a URL with
/// user information is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) tls: bool,
    /// A name or a literal address, without the brackets of IPv6.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Starts with `/`; no query.
    pub(crate) path: String,
}

/// The reason why a URL is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidEndpoint {
    #[error("not a URL")]
    Syntax,
    #[error("the host is missing")]
    Host,
    #[error("the port is not a number from 1 to 65535")]
    Port,
    #[error("the scheme is neither http nor https")]
    Scheme,
    #[error("it contains user information, which belongs in the headers")]
    UserInformation,
    #[error("it contains a query; a key belongs in the headers")]
    Query,
}

/// Scheme of a URL without one, such as `ingress.eu2.coralogix.com:443`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DefaultScheme {
    Http,
    Https,
}

impl Endpoint {
    pub(crate) fn parse(url: &str, default: DefaultScheme) -> Result<Self, InvalidEndpoint> {
        let with_scheme = match (url.contains("://"), default) {
            (true, _) => url.to_owned(),
            (false, DefaultScheme::Https) => format!("https://{url}"),
            (false, DefaultScheme::Http) => format!("http://{url}"),
        };
        let uri: Uri = with_scheme.parse().map_err(|_| InvalidEndpoint::Syntax)?;
        let scheme = uri.scheme_str().unwrap_or_default();
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(InvalidEndpoint::Scheme),
        };
        let authority = uri.authority().ok_or(InvalidEndpoint::Syntax)?;
        if authority.as_str().contains('@') {
            return Err(InvalidEndpoint::UserInformation);
        }
        if uri.query().is_some() {
            return Err(InvalidEndpoint::Query);
        }
        Ok(Self {
            tls,
            host: host(authority).ok_or(InvalidEndpoint::Host)?,
            port: port(authority, tls).ok_or(InvalidEndpoint::Port)?,
            path: uri.path().to_owned(),
        })
    }

    /// Appends `suffix` to the path: turns the OTLP endpoint for all signals into that of one
    /// signal.
    pub(crate) fn join(mut self, suffix: &str) -> Self {
        self.path = format!("{}{suffix}", self.path.trim_end_matches('/'));
        self
    }

    /// Removes the path, which over gRPC is that of the method.
    pub(crate) fn without_path(mut self) -> Self {
        self.path.replace_range(.., "/");
        self
    }

    /// Returns the value of the `Host` header.
    pub(crate) fn authority(&self) -> String {
        let host = &self.host;
        if host.contains(':') {
            format!("[{host}]:{}", self.port)
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(formatter, "{scheme}://{}{}", self.authority(), self.path)
    }
}

fn host(authority: &Authority) -> Option<String> {
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    (!host.is_empty()).then(|| host.to_owned())
}

/// Returns the port, or the default of the scheme. Returns `None` if the port is invalid.
fn port(authority: &Authority, tls: bool) -> Option<u16> {
    match authority.as_str().strip_prefix(authority.host())? {
        "" if tls => Some(443),
        "" => Some(80),
        written => written
            .strip_prefix(':')?
            .parse()
            .ok()
            .filter(|port| *port != 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<String, InvalidEndpoint> {
        Endpoint::parse(url, DefaultScheme::Https).map(|endpoint| endpoint.to_string())
    }

    #[test]
    fn urls_may_lack_a_scheme_a_port_or_a_path() {
        for (url, expected) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/"),
            ("HTTPS://collector", "https://collector:443/"),
            ("https://collector/otlp/", "https://collector:443/otlp/"),
            ("http://[::1]:4318/v1/traces", "http://[::1]:4318/v1/traces"),
            (
                "ingress.eu2.coralogix.com:443",
                "https://ingress.eu2.coralogix.com:443/",
            ),
            ("collector", "https://collector:443/"),
        ] {
            assert_eq!(parse(url).as_deref(), Ok(expected), "{url}");
        }
        let plain = Endpoint::parse("collector:4318", DefaultScheme::Http).unwrap();
        assert_eq!(plain.to_string(), "http://collector:4318/");
    }

    #[test]
    fn invalid_urls_are_rejected() {
        assert_eq!(parse("ftp://collector"), Err(InvalidEndpoint::Scheme));
        assert_eq!(
            parse("http://key@collector"),
            Err(InvalidEndpoint::UserInformation)
        );
        assert_eq!(
            parse("http://collector/?key=x"),
            Err(InvalidEndpoint::Query)
        );
        for url in ["", "http://", "http://a b"] {
            assert_eq!(parse(url), Err(InvalidEndpoint::Syntax), "{url}");
        }
        assert_eq!(parse("http://:4318"), Err(InvalidEndpoint::Host));
        for port in ["99999", "x", "0", "-1", ""] {
            let url = format!("http://collector:{port}");
            assert_eq!(parse(&url), Err(InvalidEndpoint::Port), "{url}");
        }
    }

    #[test]
    fn without_path_keeps_the_scheme_host_and_port() {
        let endpoint = Endpoint::parse("https://c:1/x/y", DefaultScheme::Http).unwrap();
        assert_eq!(endpoint.without_path().to_string(), "https://c:1/");
    }

    #[test]
    fn a_signal_path_is_joined_with_one_slash() {
        let joined = |url: &str| {
            let endpoint = Endpoint::parse(url, DefaultScheme::Http).unwrap();
            endpoint.join("/v1/traces").path
        };
        assert_eq!(joined("http://c:4318"), "/v1/traces");
        assert_eq!(joined("http://c:4318/"), "/v1/traces");
        assert_eq!(joined("http://c:4318/otlp/"), "/otlp/v1/traces");
    }
}
