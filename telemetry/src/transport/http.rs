//! OTLP over HTTP/1.1, as binary protobuf.

use std::time::SystemTime;

use ::http::{HeaderName, HeaderValue, Method, header};
use serde_json::Value;
use tokio::time::Instant;

use super::TransportError;
use super::status::{self, ResponseClass, ResponseStatus};
use super::wrong_endpoint::{EndpointHint, UnexpectedResponse, WrongEndpoint};
use crate::otlp::PartialSuccess;
use crate::otlp::protobuf::{FieldReader, FieldValue};
use crate::transport::client::{BufList, HttpClient, HttpResponse};

/// Content type of binary protobuf (OTLP specification, "OTLP/HTTP Request").
const CONTENT_TYPE: (HeaderName, HeaderValue) = (
    header::CONTENT_TYPE,
    HeaderValue::from_static("application/x-protobuf"),
);
const CONTENT_ENCODING: (HeaderName, HeaderValue) =
    (header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));

/// Returns the headers that the protocol prescribes.
pub(super) fn protocol_headers(
    is_compressed: bool,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let encoding = is_compressed.then_some(CONTENT_ENCODING);
    [CONTENT_TYPE].into_iter().chain(encoding)
}

/// Sends a request. The headers of the client state whether it is compressed.
pub(super) async fn send(
    client: &HttpClient,
    request: BufList,
    deadline: Instant,
    hint: EndpointHint,
) -> Result<PartialSuccess, TransportError> {
    let response = client.send(Method::POST, &[], request, deadline).await?;
    read_outcome(response, client, hint)
}

fn read_outcome(
    response: HttpResponse,
    client: &HttpClient,
    hint: EndpointHint,
) -> Result<PartialSuccess, TransportError> {
    match status::classify(response.status) {
        ResponseClass::Accepted => read_acknowledgement(response, hint),
        ResponseClass::WrongEndpoint => {
            let status = response.status;
            let response = if status.is_redirection() {
                UnexpectedResponse::Redirect {
                    status,
                    location: response.location,
                }
            } else {
                UnexpectedResponse::Status(status.into())
            };
            Err(WrongEndpoint { response, hint }.into())
        }
        ResponseClass::Retryable => {
            let retry_after = response.retry_after;
            let delay = retry_after.map(|after| after.remaining(SystemTime::now()));
            Err(TransportError::retryable(response.status.into(), delay))
        }
        ResponseClass::NonRetryable => {
            let message = rejection_message(&response);
            let message =
                message.map(|message| status::printable_message(&message, &client.headers()));
            Err(TransportError::NonRetryable(ResponseStatus::Http {
                code: response.status,
                message: message.unwrap_or_default(),
            }))
        }
    }
}

/// Returns the collector's reason for a rejection: the message of a `google.rpc.Status`, the member
/// `error` of other JSON, or plain text.
fn rejection_message(response: &HttpResponse) -> Option<String> {
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
fn read_acknowledgement(
    response: HttpResponse,
    hint: EndpointHint,
) -> Result<PartialSuccess, TransportError> {
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
    let partial_success = match Encoding::from_content_type(content_type.as_deref(), &body) {
        Some(Encoding::Protobuf) => PartialSuccess::from_protobuf(&body),
        Some(Encoding::Json) => PartialSuccess::from_json(&body),
        None => None,
    };
    partial_success.ok_or_else(|| {
        let response = UnexpectedResponse::NotOtlp {
            status,
            content_type,
        };
        WrongEndpoint { response, hint }.into()
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
        let is_type =
            |name: &str| media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case(name));
        let is_unspecified = media_type.is_none() || is_type("application/octet-stream");
        if is_type("application/json") || is_unspecified && body.starts_with(b"{") {
            return Some(Self::Json);
        }
        let is_protobuf = is_type("application/x-protobuf") || is_type("application/protobuf");
        (is_unspecified || is_protobuf).then_some(Self::Protobuf)
    }
}
