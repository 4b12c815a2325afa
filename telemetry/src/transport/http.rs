//! OTLP over HTTP/1.1, as binary protobuf.

use std::time::SystemTime;

use ::http::{HeaderName, HeaderValue, Method, header};
use serde_json::Value;
use tokio::time::Instant;

use super::status::{self, ResponseClass, Status};
use super::wrong_endpoint::{Hint, UnexpectedAnswer, WrongEndpoint};
use super::{TransportError, message};
use crate::otlp::PartialSuccess;
use crate::otlp::protobuf::{FieldReader, FieldValue};
use crate::transport::client::{BufList, Client, Response};

/// OTLP specification, "OTLP/HTTP Request".
const CONTENT_TYPE: (HeaderName, HeaderValue) = (
    header::CONTENT_TYPE,
    HeaderValue::from_static("application/x-protobuf"),
);
const CONTENT_ENCODING: (HeaderName, HeaderValue) =
    (header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));

/// The headers that are this protocol's own.
pub(super) fn protocol_headers(
    is_compressed: bool,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let encoding = is_compressed.then_some(CONTENT_ENCODING);
    [CONTENT_TYPE].into_iter().chain(encoding)
}

/// Sends a request that is as compressed as its headers say.
pub(super) async fn send(
    client: &Client,
    request: BufList,
    deadline: Instant,
    hint: Hint,
) -> Result<PartialSuccess, TransportError> {
    let answer = client.send(Method::POST, &[], request, deadline).await?;
    accepted(answer, client, hint)
}

fn accepted(
    response: Response,
    client: &Client,
    hint: Hint,
) -> Result<PartialSuccess, TransportError> {
    match status::classify(response.status) {
        ResponseClass::Accepted => acknowledged(response, hint),
        ResponseClass::WrongEndpoint => {
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
        ResponseClass::Retryable => {
            let after = response.retry_after;
            let after = after.map(|after| after.left(SystemTime::now()));
            Err(TransportError::unavailable(response.status.into(), after))
        }
        ResponseClass::NonRetryable => {
            let message = refusal(&response);
            let message = message.map(|message| message::printable(&message, &client.headers()));
            Err(TransportError::NonRetryable(Status::Http {
                code: response.status,
                message: message.unwrap_or_default(),
            }))
        }
    }
}

/// Returns the collector's reason for a refusal: the message of a `google.rpc.Status`, the member
/// `error` of other JSON, or plain text.
fn refusal(response: &Response) -> Option<String> {
    /// Field number of the message in a `google.rpc.Status`.
    const MESSAGE: u32 = 2;
    const TEXT: &str = "text/plain";
    let body = response.body.as_deref().ok()?;
    let content_type = response.content_type.as_deref();
    match Encoding::from_content_type(content_type, body) {
        Some(Encoding::Protobuf) => {
            let mut message = None;
            for field in FieldReader::new(body) {
                if let (MESSAGE, FieldValue::Bytes(text)) = field.ok()? {
                    message = Some(text);
                }
            }
            message.map(|message| String::from_utf8_lossy(message).into_owned())
        }
        Some(Encoding::Json) => {
            let status: Value = serde_json::from_slice(body).ok()?;
            let message = status.get("message").or_else(|| status.get("error"))?;
            message.as_str().map(str::to_owned)
        }
        None => content_type
            .and_then(|content_type| content_type.get(..TEXT.len()))
            .filter(|media_type| media_type.eq_ignore_ascii_case(TEXT))
            .map(|_| String::from_utf8_lossy(body).into_owned()),
    }
}

/// Reads the `Export…ServiceResponse`. Status 200 alone proves nothing: web pages, login forms and
/// captive portals return it too (OTLP specification, "OTLP/HTTP Response": the body must be such a
/// message, in the content type of the request).
fn acknowledged(response: Response, hint: Hint) -> Result<PartialSuccess, TransportError> {
    let status = response.status;
    let body = response
        .body
        .map_err(|reason| TransportError::Unacknowledged { status, reason })?;
    // The protobuf encoding of full success is empty, so the content type of an empty body is
    // ignored.
    if body.is_empty() {
        return Ok(PartialSuccess::default());
    }
    let content_type = response.content_type;
    let read = match Encoding::from_content_type(content_type.as_deref(), &body) {
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
    /// Returns the encoding for a `Content-Type`, ignoring its parameters. With a missing type and
    /// with `application/octet-stream` the body decides: a protobuf message never starts with a
    /// brace, and other text does not parse as protobuf.
    fn from_content_type(content_type: Option<&str>, body: &[u8]) -> Option<Self> {
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
