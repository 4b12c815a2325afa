//! `onboarding-api health`: a health check for containers without a shell.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use axum::body::Body;
use http::header::HOST;
use http::{Request, StatusCode};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::{Host, Position, Url};

/// Time limit of the check. It is less than the three seconds that the task definition sets for
/// ECS.
const TIME_LIMIT: Duration = Duration::from_secs(2);

/// The route of this service that responds while the process runs.
const HEALTHZ: &str = "/healthz";

/// The endpoint that a health check requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Name or address, without the brackets of an IPv6 address.
    host: String,
    port: u16,
    path: String,
}

/// A text that is not the URL of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a URL such as http://127.0.0.1:8080/healthz")]
pub(crate) struct InvalidEndpoint;

impl Endpoint {
    /// Returns the endpoint `/healthz` of the service that listens on this address.
    pub(crate) fn healthz(listen_addr: SocketAddr) -> Self {
        let ip = match listen_addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Self {
            host: ip.to_string(),
            port: listen_addr.port(),
            path: HEALTHZ.to_owned(),
        }
    }

    /// Requests the endpoint. The exit code is 0 if the response has status 200. Otherwise it is 1,
    /// and the reason is on standard error.
    #[expect(clippy::print_stderr, reason = "a health check has no log")]
    pub(crate) async fn check(&self) -> ExitCode {
        let reason = match timeout(TIME_LIMIT, self.request()).await {
            Ok(Ok(StatusCode::OK)) => return ExitCode::SUCCESS,
            Ok(Ok(status)) => format!("responded with {status}, expected 200"),
            Ok(Err(error)) => format!("did not respond: {error}"),
            Err(_) => format!("did not respond within {} s", TIME_LIMIT.as_secs()),
        };
        eprintln!("{self} {reason}");
        ExitCode::FAILURE
    }

    async fn request(&self) -> Result<StatusCode, Box<dyn Error>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::get(&self.path)
            .header(HOST, self.authority())
            .body(Body::empty())?;
        Ok(sender.send_request(request).await?.status())
    }

    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let url = Url::parse(text).map_err(|_| InvalidEndpoint)?;
        if url.scheme() != "http" {
            return Err(InvalidEndpoint);
        }
        let host = match url.host().ok_or(InvalidEndpoint)? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => ip.to_string(),
        };
        Ok(Self {
            host,
            port: url.port_or_known_default().ok_or(InvalidEndpoint)?,
            path: url[Position::BeforePath..Position::AfterQuery].to_owned(),
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "http://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_on_all_addresses_is_checked_through_loopback() {
        for (listen_addr, expected) in [
            ("0.0.0.0:8080", "http://127.0.0.1:8080/healthz"),
            ("[::]:8080", "http://[::1]:8080/healthz"),
            ("10.0.0.7:80", "http://10.0.0.7:80/healthz"),
        ] {
            let endpoint = Endpoint::healthz(listen_addr.parse().unwrap());
            assert_eq!(endpoint.to_string(), expected);
        }
    }

    #[test]
    fn a_url_has_a_host_and_the_scheme_http() {
        for (text, expected) in [
            ("http://127.0.0.1:13133", "http://127.0.0.1:13133/"),
            (
                "http://collector/ready?all",
                "http://collector:80/ready?all",
            ),
            ("http://[::1]:13133/", "http://[::1]:13133/"),
            ("http://collector?all", "http://collector:80/?all"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), expected);
        }
        for text in [
            "",
            "/healthz",
            "127.0.0.1:8080",
            "https://127.0.0.1/",
            "http://",
            "http://:80/",
            "http://[]:80/",
            "http://127.0.0.1:99999/",
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(InvalidEndpoint), "{text}");
        }
    }
}
