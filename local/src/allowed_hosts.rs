//! Host names that the listeners of the local stack accept.
//!
//! A web page can resolve a name of its own site to 127.0.0.1 (DNS rebinding). The browser then
//! treats the stack as part of that site and lets the page read spans and receive messages. The
//! request still carries the site's host name, so every listener compares `Host` (HTTP/2:
//! `:authority`) with its list of accepted names and rejects others with 421 (Misdirected Request).
//! It also checks `Origin`, which a browser adds when a page of another site sends a request
//! without reading the response, and rejects other sites with 403 (Forbidden).
//!
//! The listeners accept `localhost`, names that end in `.localhost`, loopback addresses, and the
//! names that the user allows. The SQS endpoint also accepts the host names of SQS on AWS, which
//! SDKs send if a proxy or the `hosts` file redirects them to the endpoint.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};

mod layer;

pub(crate) use self::layer::HostCheckLayer;

/// Domains of SQS on AWS in the `aws` and `aws-cn` partitions. The ones with `api` are dual-stack.
const AWS_DOMAINS: [&str; 4] = [
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".api.aws",
    ".api.amazonwebservices.com.cn",
];

/// Host names that a listener accepts: the built-in ones and added ones. The default adds none.
///
/// ```
/// use baton_local::AllowedHosts;
///
/// let hosts = AllowedHosts::new(vec!["host.docker.internal".parse()?]);
/// # drop(hosts);
/// # Ok::<(), baton_local::InvalidHostName>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct AllowedHosts {
    added: Arc<[HostName]>,
    sqs_on_aws: bool,
}

/// A host name or an IP address, without scheme and port.
///
/// Comparison ignores case and a trailing dot.
///
/// ```
/// use baton_local::HostName;
///
/// assert!("host.docker.internal".parse::<HostName>().is_ok());
/// assert!("http://stack:9324".parse::<HostName>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(Host);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    /// In lower case, without a trailing dot.
    Name(String),
    Address(IpAddr),
}

/// Error in parsing a string that is not a host name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a host name or an address without scheme and port, such as host.docker.internal")]
pub struct InvalidHostName;

/// Error of a request that fails the host check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostCheckError {
    #[error("expected one Host header, found {0}")]
    SeveralHosts(usize),
    #[error(
        "the host {0:?} is not allowed: expected localhost, a name under .localhost, a loopback address, or a name given to `baton up` with --allow-host"
    )]
    Host(String),
    #[error(
        "the origin {0:?} is not allowed: expected localhost, a name under .localhost, a loopback address, or a name given to `baton up` with --allow-host"
    )]
    Origin(String),
}

impl AllowedHosts {
    /// Creates a list of the built-in names and `added`.
    #[must_use]
    pub fn new(added: Vec<HostName>) -> Self {
        Self {
            added: added.into(),
            sqs_on_aws: false,
        }
    }

    /// Adds the host names of SQS on AWS.
    #[must_use]
    pub(crate) fn with_sqs_on_aws(self) -> Self {
        Self {
            sqs_on_aws: true,
            ..self
        }
    }

    /// Checks all host names in the head of a request.
    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), HostCheckError> {
        let hosts = headers.get_all(HOST).iter().collect::<Vec<_>>();
        if hosts.len() > 1 {
            return Err(HostCheckError::SeveralHosts(hosts.len()));
        }
        // The request target may be in absolute form, which takes precedence over `Host` (RFC 9112,
        // 3.2.2). Both are checked.
        let target = uri.authority().map(|authority| authority.as_str().into());
        let host = hosts.first().map(|host| text(host));
        let named = target.iter().chain(&host).collect::<Vec<&String>>();
        // A request without a host is accepted: browsers always send one, while scripts and small
        // runtimes may not.
        if let Some(host) = named.into_iter().find(|host| !self.allows_host(host)) {
            return Err(HostCheckError::Host(host.clone()));
        }
        let mut origins = headers.get_all(ORIGIN).iter().map(text);
        match origins.find(|origin| !self.allows_origin(origin)) {
            Some(origin) => Err(HostCheckError::Origin(origin)),
            None => Ok(()),
        }
    }

    /// `host` is `name[:port]`.
    fn allows_host(&self, host: &str) -> bool {
        // User information before an `@` is not valid in a Host header, and could hide the real
        // name from a reader.
        if host.contains('@') {
            return false;
        }
        let authority = host.parse::<Authority>();
        authority.is_ok_and(|authority| self.allows(authority.host()))
    }

    /// `origin` is `scheme://name[:port]` or `null`.
    fn allows_origin(&self, origin: &str) -> bool {
        let uri = origin.parse::<Uri>();
        uri.is_ok_and(|uri| uri.host().is_some_and(|host| self.allows(host)))
    }

    fn allows(&self, host: &str) -> bool {
        let Ok(host) = host.parse::<HostName>() else {
            return false;
        };
        host.is_loopback()
            || self.added.contains(&host)
            || (self.sqs_on_aws && host.is_sqs_on_aws())
    }
}

impl HostName {
    fn is_loopback(&self) -> bool {
        match &self.0 {
            Host::Address(address) => address.to_canonical().is_loopback(),
            // Names under `localhost` always resolve to loopback addresses (RFC 6761, 6.3).
            Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        }
    }

    /// Returns true for the host names of SQS. Only whole names match, because anyone can own other
    /// names under these domains, such as bucket names.
    fn is_sqs_on_aws(&self) -> bool {
        let Host::Name(name) = &self.0 else {
            return false;
        };
        let mut domains = AWS_DOMAINS.iter();
        let Some(service) = domains.find_map(|domain| name.strip_suffix(domain)) else {
            return false;
        };
        matches!(
            service.split('.').collect::<Vec<_>>()[..],
            ["sqs" | "sqs-fips", _] | [_, "queue"] | ["queue"]
        )
    }
}

impl FromStr for HostName {
    type Err = InvalidHostName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'))
            .unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Self(Host::Address(address)));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| {
            let mut bytes = label.bytes();
            !label.is_empty()
                && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if !name.split('.').all(is_label) {
            return Err(InvalidHostName);
        }
        Ok(Self(Host::Name(name.to_ascii_lowercase())))
    }
}

impl HostCheckError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::SeveralHosts(_) => StatusCode::BAD_REQUEST,
            Self::Host(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin(_) => StatusCode::FORBIDDEN,
        }
    }
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(hosts: &AllowedHosts, host: &str) -> bool {
        hosts.allows_host(host)
    }

    #[test]
    fn an_added_name_is_accepted_in_any_spelling() {
        let added = ["Host.Docker.Internal", "10.0.0.5", "[2001:db8::1]"];
        let hosts = AllowedHosts::new(added.map(|name| name.parse().unwrap()).to_vec());
        for host in [
            "host.docker.internal",
            "HOST.docker.internal.:4318",
            "10.0.0.5:80",
            "[2001:db8:0::1]:80",
            "localhost",
        ] {
            assert!(allows(&hosts, host), "{host}");
        }
        for host in ["docker.internal", "x.host.docker.internal", "10.0.0.6"] {
            assert!(!allows(&hosts, host), "{host}");
        }
    }

    #[test]
    fn only_the_sqs_endpoint_accepts_names_of_aws() {
        let sqs = "sqs.us-east-1.amazonaws.com";
        assert!(!allows(&AllowedHosts::default(), sqs));
        assert!(allows(&AllowedHosts::default().with_sqs_on_aws(), sqs));
    }

    #[test]
    fn text_with_more_than_a_name_is_not_a_host_name() {
        for text in [
            "", ".", "a..b", "a:80", "http://a", "a/b", "*.a", "a b", "u@a", "[::1",
        ] {
            assert_eq!(text.parse::<HostName>(), Err(InvalidHostName), "{text:?}");
        }
    }
}
