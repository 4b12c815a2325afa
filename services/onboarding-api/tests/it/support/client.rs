//! An HTTP client that opens a connection for each request, or keeps it open.

use std::net::SocketAddr;

use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

#[derive(Debug)]
pub(crate) struct TestResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl TestResponse {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Returns the problem document of an error response. Asserts that it follows RFC 9457.
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        for member in ["type", "title", "detail"] {
            assert!(
                problem[member]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{member}: {problem}"
            );
        }
        problem
    }
}

/// A connection that stays open between requests.
#[derive(Debug)]
pub(crate) struct KeptConnection {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
}

impl KeptConnection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { address, sender }
    }

    /// Returns the response, or `None` if the connection was closed or reset.
    pub(crate) async fn get(&mut self, path: &str) -> Option<TestResponse> {
        self.send("GET", path, &[], "").await
    }

    /// Sends an onboarding of this customer. Returns the response, or `None` if the connection was
    /// closed or reset.
    pub(crate) async fn onboard(&mut self, customer_id: &str) -> Option<TestResponse> {
        let body =
            format!(r#"{{"customer_id":"{customer_id}","email":"ada@example.com","plan":"team"}}"#);
        self.send("POST", "/onboarding", &[JSON], &body).await
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<TestResponse> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        self.sender.ready().await.ok()?;
        let response = self.sender.send_request(request.body(body).unwrap()).await;
        let (parts, body) = response.ok()?.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        Some(TestResponse {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        })
    }
}

/// Opens a connection and sends `text` on it unchanged.
pub(crate) async fn connect_and_send(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Reads the head of a response. The connection may be reset after it.
pub(crate) async fn read_head(mut connection: TcpStream) -> String {
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\n") {
        response.push(connection.read_u8().await.unwrap());
    }
    String::from_utf8(response).unwrap()
}

/// Returns an onboarding request with only the first `sent` bytes of its body.
pub(crate) fn onboarding_request(body: &str, sent: usize) -> String {
    let length = body.len();
    let head =
        "POST /onboarding HTTP/1.1\r\nhost: api.example.com\r\ncontent-type: application/json";
    format!(
        "{head}\r\ncontent-length: {length}\r\n\r\n{}",
        &body[..sent]
    )
}

pub(crate) async fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> TestResponse {
    let mut connection = KeptConnection::open(address).await;
    let response = connection.send(method, path, headers, body).await;
    response.expect("the connection is not closed before the response")
}
