//! Refusals, as problem documents (RFC 9457).

use std::borrow::Cow;

use axum::Json;
use axum::response::{IntoResponse, Response};
use baton_producer::{QueueUnreachable, SendError};
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};

use crate::onboarding::FieldError;
use crate::wire::{FieldProblem, ProblemDocument};

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// `type` of a problem about which the status says everything.
const ABOUT_BLANK: &str = "about:blank";
const INVALID_JSON: &str = "urn:baton:problem:invalid-json";
const INVALID_FIELDS: &str = "urn:baton:problem:invalid-fields";
const UNSUPPORTED_ENCODING: &str = "urn:baton:problem:unsupported-encoding";
const QUEUE_UNAVAILABLE: &str = "urn:baton:problem:queue-unavailable";
const QUEUE_REFUSED: &str = "urn:baton:problem:queue-refused";

/// `Retry-After` when SQS is busy or out of reach: our own retries took the first second already,
/// and throttling passes in about as long.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// `Accept-Encoding` of an answer to a compressed body, as RFC 9110, section 12.5.3, recommends.
const ACCEPTED_ENCODINGS: HeaderValue = HeaderValue::from_static("identity");

/// A refusal, before it becomes a response.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    kind: &'static str,
    detail: Cow<'static, str>,
    position: Option<Position>,
    errors: Vec<FieldError>,
}

/// Where a text stopped being JSON, both counted from one.
#[derive(Debug, Clone, Copy)]
struct Position {
    line: usize,
    column: usize,
}

impl Problem {
    /// A problem about which the status says everything but the detail.
    pub(crate) fn plain(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            kind: ABOUT_BLANK,
            detail: detail.into(),
            position: None,
            errors: Vec::new(),
        }
    }

    /// The body is compressed.
    pub(crate) fn unsupported_encoding() -> Self {
        Self {
            kind: UNSUPPORTED_ENCODING,
            ..Self::plain(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the header `content-encoding` must be absent or identity: the body must not be compressed",
            )
        }
    }

    /// The body is no JSON.
    pub(crate) fn invalid_json(error: &serde_json::Error) -> Self {
        Self {
            kind: INVALID_JSON,
            position: Some(Position {
                line: error.line(),
                column: error.column(),
            }),
            ..Self::plain(
                StatusCode::BAD_REQUEST,
                format!("the body is not valid JSON: {error}"),
            )
        }
    }

    /// The body is JSON, and its fields are not what they must be.
    pub(crate) fn invalid_fields(errors: Vec<FieldError>) -> Self {
        let names: Vec<&str> = errors
            .iter()
            .map(|error| error.field.as_ref())
            .filter(|name| !name.is_empty())
            .collect();
        let detail = match names.as_slice() {
            [] => "the body is not what was expected".to_owned(),
            names => format!("not as expected: {}", names.join(", ")),
        };
        Self {
            kind: INVALID_FIELDS,
            errors,
            ..Self::plain(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
    }

    /// The queue is not usable now, for whatever reason: a load balancer asks again anyway.
    pub(crate) fn not_ready(error_type: &str) -> Self {
        Self {
            kind: QUEUE_UNAVAILABLE,
            ..Self::plain(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("the queue is not reachable ({error_type})"),
            )
        }
    }

    /// A message was not accepted.
    pub(crate) fn not_sent(error: &SendError) -> Self {
        match error {
            // What a request may contain makes no message that SQS refuses, so this is ours to
            // repair and not the caller's.
            SendError::Invalid(_) => Self::plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the request made a message that SQS does not take",
            ),
            SendError::Queue(QueueUnreachable::Unbuildable { .. }) => Self::plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the call to the queue could not be built",
            ),
            _ => Self::queue(error.is_retryable(), error.error_type()),
        }
    }

    fn queue(retryable: bool, error_type: &str) -> Self {
        if retryable {
            let detail = format!(
                "the queue does not answer or is busy ({error_type}): send the request again later"
            );
            Self {
                kind: QUEUE_UNAVAILABLE,
                ..Self::plain(StatusCode::SERVICE_UNAVAILABLE, detail)
            }
        } else {
            let detail = format!(
                "the queue refused the message ({error_type}): sending it again will not help"
            );
            Self {
                kind: QUEUE_REFUSED,
                ..Self::plain(StatusCode::BAD_GATEWAY, detail)
            }
        }
    }

    fn title(&self) -> &'static str {
        match self.kind {
            INVALID_JSON => "The body is not valid JSON",
            UNSUPPORTED_ENCODING => "The body's encoding is not supported",
            INVALID_FIELDS => "The body's fields are not as expected",
            QUEUE_UNAVAILABLE => "The queue is not available",
            QUEUE_REFUSED => "The queue refused the message",
            _ => self.status.canonical_reason().unwrap_or("Problem"),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let errors = self.errors.iter().map(field_problem).collect();
        let document = ProblemDocument {
            r#type: self.kind,
            title: self.title(),
            status: self.status.as_u16(),
            detail: &self.detail,
            line: self.position.map(|position| position.line),
            column: self.position.map(|position| position.column),
            errors,
        };
        let mut response = (self.status, Json(document)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        if self.kind == UNSUPPORTED_ENCODING {
            response
                .headers_mut()
                .insert(ACCEPT_ENCODING, ACCEPTED_ENCODINGS);
        }
        response
    }
}

/// The empty field is the whole document, to which the pointer `#` leads.
fn field_problem(error: &FieldError) -> FieldProblem<'_> {
    let pointer = if error.field.is_empty() {
        "#".to_owned()
    } else {
        format!("#/{}", error.field)
    };
    FieldProblem {
        field: &error.field,
        pointer,
        detail: error.detail,
    }
}
