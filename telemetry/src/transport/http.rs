//! OTLP over HTTP/1.1, as binary protobuf.

use super::TransportError;
use super::status::{self, Verdict};
use super::wrong_endpoint::{Hint, UnexpectedAnswer, WrongEndpoint};
use crate::export::PartialSuccess;
use crate::http::{Client, Frames, Response};
use ::http::{HeaderName, HeaderValue, Method, header};
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
    hint: Hint,
) -> Result<PartialSuccess, TransportError> {
    let answer = client.send(Method::POST, &[], request, deadline);
    accepted(answer.await?, hint)
}

fn accepted(response: Response, hint: Hint) -> Result<PartialSuccess, TransportError> {
    match status::verdict(response.status) {
        Verdict::Accepted => acknowledged(response, hint),
        Verdict::WrongEndpoint => {
            let status = response.status;
            let answer = match status.is_redirection() {
                true => UnexpectedAnswer::Redirect {
                    status,
                    location: response.location,
                },
                false => UnexpectedAnswer::Status(status.into()),
            };
            Err(WrongEndpoint { answer, hint }.into())
        }
        Verdict::Passing => {
            let after = response.retry_after;
            let after = after.map(|after| after.left(SystemTime::now()));
            Err(TransportError::unavailable(response.status.into(), after))
        }
        Verdict::Final => Err(TransportError::Refused(response.status.into())),
    }
}

/// Reads the `Export…ServiceResponse`. Status 200 alone proves nothing: web pages, login forms and captive portals return it too (OTLP
/// specification, "OTLP/HTTP Response": the body must be such a message, in the content type of the request).
fn acknowledged(response: Response, hint: Hint) -> Result<PartialSuccess, TransportError> {
    let status = response.status;
    let body = response
        .body
        .map_err(|reason| TransportError::Unacknowledged { status, reason })?;
    // The protobuf encoding of full success is empty, so the content type of an empty body is ignored.
    if body.is_empty() {
        return Ok(PartialSuccess::default());
    }
    let content_type = response.content_type;
    let read = match Encoding::of(content_type.as_deref(), &body) {
        Some(Encoding::Protobuf) => PartialSuccess::from_protobuf(&body),
        Some(Encoding::Json) => PartialSuccess::from_json(&body),
        None => None,
    };
    read.ok_or_else(|| {
        let answer = UnexpectedAnswer::NotOtlp {
            status,
            content_type,
        };
        WrongEndpoint { answer, hint }.into()
    })
}

/// Encoding of an OTLP message.
enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    /// Returns the encoding for a `Content-Type`, ignoring its parameters. With a missing type and with `application/octet-stream`
    /// the body decides: a protobuf message never starts with a brace, and other text does not parse as protobuf.
    fn of(content_type: Option<&str>, body: &[u8]) -> Option<Self> {
        let media_type = content_type.map(|content_type| {
            let media_type = content_type.split(';').next();
            media_type.unwrap_or_default().trim()
        });
        let is = |name: &str| media_type.is_some_and(|own| own.eq_ignore_ascii_case(name));
        let is_open = media_type.is_none() || is("application/octet-stream");
        if is("application/json") || is_open && body.starts_with(b"{") {
            return Some(Self::Json);
        }
        let is_protobuf = is("application/x-protobuf") || is("application/protobuf");
        (is_open || is_protobuf).then_some(Self::Protobuf)
    }
}
