//! The target of the load and the connections to it.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::time::timeout;
use tower::ServiceExt as _;

use super::request_error::RequestError;
use super::tls::{self, Authorities};

/// Error in a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH, without user and password")]
pub(crate) struct InvalidTarget;

/// URL of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TargetUrl(Uri);

impl TargetUrl {
    /// Returns the URL as it was given.
    pub(crate) fn uri(&self) -> &Uri {
        &self.0
    }
}

impl std::str::FromStr for TargetUrl {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri = text.parse::<Uri>().map_err(|_| InvalidTarget)?;
        let authority = uri.authority().ok_or(InvalidTarget)?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        if !is_http || authority.host().is_empty() || authority.as_str().contains('@') {
            return Err(InvalidTarget);
        }
        Ok(Self(uri))
    }
}

/// Connects to the target and sends requests.
#[derive(Clone, Debug)]
pub(super) struct Target {
    url: Uri,
    path: Uri,
    headers: HeaderMap,
    connector: HttpsConnector<HttpConnector>,
    request_timeout: Duration,
}

/// A connection that is kept for further requests.
#[derive(Debug)]
pub(super) struct Connection(SendRequest<Full<Bytes>>);

impl Target {
    /// Creates a target. `headers` replace the default ones with the same name.
    pub(super) fn new(
        url: &TargetUrl,
        headers: &[(HeaderName, HeaderValue)],
        authorities: Option<&Authorities>,
        request_timeout: Duration,
    ) -> Result<Self, http::Error> {
        let url = url.0.clone();
        let path = match url.path_and_query() {
            Some(path) => Uri::from(path.clone()),
            None => Uri::from_static("/"),
        };
        let host = url.authority().map_or("", |authority| authority.as_str());
        let mut all = HeaderMap::new();
        all.insert(HOST, HeaderValue::try_from(host)?);
        all.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            all.insert(name, value.clone());
        }
        Ok(Self {
            url,
            path,
            headers: all,
            connector: tls::connector(authorities),
            request_timeout,
        })
    }

    /// Sends a request on an open connection, or else on a new one, and reads the whole response.
    /// `connection` is empty afterwards if it cannot be used again. The time limit includes
    /// connecting.
    pub(super) async fn exchange(
        &self,
        connection: &mut Option<Connection>,
        body: Bytes,
        traceparent: Option<HeaderValue>,
    ) -> Result<StatusCode, RequestError> {
        let open = connection.take();
        let request = self.request(body, traceparent);
        let exchange = async {
            let mut usable = match ready(open).await {
                Some(open) => open,
                None => self.open().await?,
            };
            let status = usable.send(request).await?;
            *connection = Some(usable);
            Ok(status)
        };
        timeout(self.request_timeout, exchange)
            .await
            .unwrap_or_else(|_| Err(RequestError::timed_out()))
    }

    /// Opens a connection within the time limit of a request.
    pub(super) async fn connect(&self) -> Result<Connection, RequestError> {
        timeout(self.request_timeout, self.open())
            .await
            .unwrap_or_else(|_| Err(RequestError::timed_out()))
    }

    async fn open(&self) -> Result<Connection, RequestError> {
        let connector = self.connector.clone();
        let stream = connector
            .oneshot(self.url.clone())
            .await
            .map_err(|error| RequestError::new(&*error))?;
        let (sender, connection) = http1::handshake(stream)
            .await
            .map_err(|error| RequestError::new(&error))?;
        // The task ends with the connection. Requests return the connection's errors as well.
        tokio::spawn(connection);
        Ok(Connection(sender))
    }

    fn request(&self, body: Bytes, traceparent: Option<HeaderValue>) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = self.headers.clone();
        if let Some(traceparent) = traceparent {
            request
                .headers_mut()
                .insert(baton_telemetry::TRACEPARENT, traceparent);
        }
        request
    }
}

/// Returns a connection that the target has not closed.
async fn ready(connection: Option<Connection>) -> Option<Connection> {
    let mut connection = connection?;
    connection.0.ready().await.ok()?;
    Some(connection)
}

impl Connection {
    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<StatusCode, RequestError> {
        let failed = |error: hyper::Error| RequestError::new(&error);
        let response = self.0.send_request(request).await.map_err(failed)?;
        let status = response.status();
        // The connection can be used again only after the body.
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame.map(drop).map_err(failed)?;
        }
        Ok(status)
    }
}

/// Parses a header `NAME: VALUE`.
pub(crate) fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), &'static str> {
    let invalid = "expected NAME: VALUE";
    let (name, value) = text.split_once(':').ok_or(invalid)?;
    let name = HeaderName::try_from(name).map_err(|_| invalid)?;
    let mut value = HeaderValue::try_from(value.trim()).map_err(|_| invalid)?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_urls_without_credentials_are_targets() {
        for url in [
            "http://127.0.0.1:8080/onboarding",
            "https://api.example/onboarding?stage=test",
        ] {
            assert_eq!(url.parse::<TargetUrl>().unwrap().uri().to_string(), url);
        }
        for url in [
            "",
            "/onboarding",
            "127.0.0.1:8080",
            "ftp://example/",
            "http://user:secret@example/",
        ] {
            assert_eq!(url.parse::<TargetUrl>(), Err(InvalidTarget), "{url}");
        }
    }

    #[test]
    fn a_header_has_a_name_and_a_value() {
        let (name, value) = parse_header("X-Api-Key: a:b").unwrap();
        assert_eq!(
            (name.as_str(), value.to_str().unwrap()),
            ("x-api-key", "a:b")
        );
        for text in ["", "name", "a b: c", "a: \u{7f}"] {
            assert!(parse_header(text).is_err(), "{text:?}");
        }
    }
}
