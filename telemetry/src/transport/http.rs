//! OTLP over HTTP/1.1, as binary protobuf.

use super::TransportError;
use super::status::{self, Verdict};
use crate::http::{Client, Frames, Response};
use ::http::{HeaderName, HeaderValue, Method, header};
use bytes::Bytes;
use std::time::SystemTime;
use tokio::time::Instant;

/// OTLP specification, "OTLP/HTTP Request".
const CONTENT_TYPE: (HeaderName, HeaderValue) = (
    header::CONTENT_TYPE,
    HeaderValue::from_static("application/x-protobuf"),
);
const CONTENT_ENCODING: (HeaderName, HeaderValue) =
    (header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));

/// The headers that are this protocol's own.
pub(super) fn own_headers(is_compressed: bool) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let encoding = is_compressed.then_some(CONTENT_ENCODING);
    [CONTENT_TYPE].into_iter().chain(encoding)
}

/// Sends a request that is as compressed as its headers say.
pub(super) async fn send(
    client: &Client,
    request: Frames,
    deadline: Instant,
) -> Result<Bytes, TransportError> {
    let answer = client.send(Method::POST, &[], request, deadline);
    accepted(answer.await?)
}

fn accepted(response: Response) -> Result<Bytes, TransportError> {
    match status::verdict(response.status) {
        Verdict::Accepted => Ok(response.body),
        Verdict::Passing => {
            let after = response.retry_after;
            let after = after.map(|after| after.left(SystemTime::now()));
            Err(TransportError::unavailable(response.status.into(), after))
        }
        Verdict::Final => Err(TransportError::Refused(response.status.into())),
    }
}
