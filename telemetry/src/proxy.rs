//! HTTP proxies between the process and a collector.

use std::fmt;

use percent_encoding::percent_decode_str;

use crate::endpoint::{DefaultScheme, Endpoint, InvalidEndpoint};
use crate::otlp_json;

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
    otlp_json::base64(&mut value, &plain);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_with_and_without_scheme_port_and_credentials() {
        for (url, expected, authorization) in [
            ("http://proxy:3128", "http://proxy:3128/", None),
            ("HTTP://10.0.0.1:3128/", "http://10.0.0.1:3128/", None),
            ("proxy:3128", "http://proxy:3128/", None),
            ("proxy", "http://proxy:80/", None),
            ("[::1]:3128", "http://[::1]:3128/", None),
            (
                "http://user:p%40ss@proxy:3128",
                "http://proxy:3128/",
                Some("Basic dXNlcjpwQHNz"),
            ),
            ("user@proxy:1", "http://proxy:1/", Some("Basic dXNlcjo=")),
        ] {
            let proxy = Proxy::parse(url).unwrap();
            assert_eq!(proxy.to_string(), expected);
            let found = proxy.authorization.as_deref();
            assert_eq!(found, authorization.map(str::as_bytes), "{url}");
            assert_eq!(format!("{proxy:?}"), expected);
        }
    }

    #[test]
    fn what_is_not_an_http_proxy_is_refused() {
        for url in ["https://proxy:3128", "socks5://proxy:1080"] {
            assert_eq!(Proxy::parse(url), Err(InvalidProxy::Scheme), "{url}");
        }
        for url in ["http://", "http://proxy:x", "http://user:key@", "a b"] {
            let error = Proxy::parse(url).unwrap_err();
            assert!(matches!(error, InvalidProxy::Url(_)), "{url}: {error}");
        }
    }
}
