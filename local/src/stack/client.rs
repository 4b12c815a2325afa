//! A small HTTP client for the stack's own producer, with one connection per request.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// A response with its body.
#[derive(Clone, Debug)]
pub(crate) struct HttpResponse {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// Error of a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The connection could not be established.
    #[error("cannot connect to {0}")]
    Connect(SocketAddr, #[source] std::io::Error),
    /// The request is not valid HTTP.
    #[error("invalid request")]
    Request(#[from] http::Error),
    /// The connection failed, or the response is not valid HTTP.
    #[error("the request failed")]
    Exchange(#[from] hyper::Error),
}

/// Sends a GET request.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<HttpResponse, HttpError> {
    exchange(
        address,
        Request::builder()
            .method(Method::GET)
            .uri(path)
            .body(Full::default())?,
    )
    .await
}

/// Sends a POST request with a JSON document.
pub(crate) async fn post(
    address: SocketAddr,
    path: &str,
    body: &Value,
) -> Result<HttpResponse, HttpError> {
    let body = Full::from(body.to_string());
    exchange(
        address,
        Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(CONTENT_TYPE, "application/json")
            .body(body)?,
    )
    .await
}

async fn exchange(
    address: SocketAddr,
    mut request: Request<Full<Bytes>>,
) -> Result<HttpResponse, HttpError> {
    let host = http::HeaderValue::try_from(address.to_string()).map_err(http::Error::from)?;
    request.headers_mut().insert(HOST, host);
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| HttpError::Connect(address, error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // The task ends with the response. `send_request` and `collect` return the errors of the
    // connection as well.
    tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    Ok(HttpResponse {
        status,
        body: response.into_body().collect().await?.to_bytes(),
    })
}
