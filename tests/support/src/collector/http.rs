//! HTTP/1.1 without a library, because tests choose every byte of a response and the moment at
//! which the connection closes.

use std::io;

use bytes::Bytes;
use hyper::header::{CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpStream;

pub(super) const PROTOBUF: &str = "application/x-protobuf";

/// A request as it was on the wire.
pub(super) struct Request {
    /// Method and path, such as `POST /v1/traces`.
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Reads the next request of a connection. Returns `None` once the client has closed it.
///
/// # Errors
///
/// Returns an error if the connection breaks, or the request is not HTTP/1.1 with a known length.
pub(super) async fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let Some(request_line) = read_line(stream).await? else {
        return Ok(None);
    };
    let target = request_line.strip_suffix(" HTTP/1.1").ok_or_else(invalid)?;
    let mut headers = HeaderMap::new();
    loop {
        let line = read_line(stream).await?.ok_or_else(invalid)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(invalid)?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| invalid())?;
        headers.append(name, value);
    }
    let mut body = vec![0; body_length(&headers)?];
    stream.read_exact(&mut body).await?;
    Ok(Some(Request {
        target: target.to_owned(),
        headers,
        body: body.into(),
    }))
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let line = line.strip_suffix("\r\n").ok_or_else(invalid)?;
    Ok(Some(line.to_owned()))
}

/// Exporters know the length of their body. A request in chunks is refused instead of read.
fn body_length(headers: &HeaderMap) -> io::Result<usize> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err(invalid());
    }
    let Some(length) = headers.get(CONTENT_LENGTH) else {
        return Ok(0);
    };
    let length = length.to_str().ok().and_then(|length| length.parse().ok());
    length.ok_or_else(invalid)
}

fn invalid() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// A response without a body, with this status and further header lines.
pub(super) fn status(status: u16, headers: &str) -> Vec<u8> {
    let reason = StatusCode::from_u16(status).ok();
    let reason = reason.and_then(|status| status.canonical_reason());
    let reason = reason.unwrap_or_default();
    format!("HTTP/1.1 {status} {reason}\r\n{headers}content-length: 0\r\n\r\n").into_bytes()
}

/// The response to a request that was accepted whole: an empty message of any signal.
pub(super) fn success() -> Vec<u8> {
    status(200, &format!("content-type: {PROTOBUF}\r\n"))
}

/// The response to a request of which `rejected` items were not accepted. The partial success of
/// the other signals has the same fields as that of spans.
pub(super) fn partial_success(rejected: i64) -> Vec<u8> {
    let partial_success = Some(ExportTracePartialSuccess {
        rejected_spans: rejected,
        error_message: "over quota".to_owned(),
    });
    let body = ExportTraceServiceResponse { partial_success }.encode_to_vec();
    let length = body.len();
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: {PROTOBUF}\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), &body].concat()
}
