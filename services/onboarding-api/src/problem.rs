//! Error responses: problem documents (RFC 9457).

use std::borrow::Cow;
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use baton_producer::{QueueError, QueueSendError};
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};

use crate::body::MAX_BODY_BYTES;
use crate::onboarding::FieldError;
use crate::wire::{FieldProblem, ProblemDocument};

pub(crate) const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static(PROBLEM_MEDIA_TYPE);

/// `type` of a problem that the HTTP status describes completely.
const ABOUT_BLANK: &str = "about:blank";
const INVALID_JSON: &str = "urn:baton:problem:invalid-json";
const INVALID_FIELDS: &str = "urn:baton:problem:invalid-fields";
const UNSUPPORTED_ENCODING: &str = "urn:baton:problem:unsupported-encoding";
const QUEUE_UNAVAILABLE: &str = "urn:baton:problem:queue-unavailable";
/// The URN is older than the word "rejected", and clients compare it.
const QUEUE_REJECTED: &str = "urn:baton:problem:queue-refused";

/// End of the detail if the outcome of a send is unknown.
const MAY_HAVE_BEEN_SENT: &str =
    "the message may have been sent, and a retry may send it a second time";

/// `Retry-After` of responses with status 503. It is the shortest time in whole seconds, because
/// the usual causes, throttling and overload, are short.
pub(crate) const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// `Accept-Encoding` of the response to a compressed body, as RFC 9110, section 12.5.3, recommends.
const ACCEPTED_ENCODINGS: HeaderValue = HeaderValue::from_static("identity");

/// An error that becomes a problem document.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    type_uri: &'static str,
    detail: Cow<'static, str>,
    position: Option<Position>,
    errors: Vec<FieldError>,
}

/// The position of a syntax error in JSON. Line and column are counted from one.
#[derive(Debug, Clone, Copy)]
struct Position {
    line: usize,
    column: usize,
}

impl Problem {
    /// Returns a problem that its status and detail describe completely.
    pub(crate) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            type_uri: ABOUT_BLANK,
            detail: detail.into(),
            position: None,
            errors: Vec::new(),
        }
    }

    /// Returns the problem for a compressed body.
    pub(crate) fn unsupported_encoding() -> Self {
        Self {
            type_uri: UNSUPPORTED_ENCODING,
            ..Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body must not be compressed: the header `content-encoding` must be absent or identity",
            )
        }
    }

    /// Returns the problem for a body over the limit.
    pub(crate) fn body_too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body has more than {MAX_BODY_BYTES} bytes"),
        )
    }

    /// Returns the problem for a body that is not JSON.
    pub(crate) fn invalid_json(error: &serde_json::Error) -> Self {
        Self {
            type_uri: INVALID_JSON,
            position: Some(Position {
                line: error.line(),
                column: error.column(),
            }),
            ..Self::new(
                StatusCode::BAD_REQUEST,
                format!("the body is not valid JSON: {error}"),
            )
        }
    }

    /// Returns the problem for a JSON body with invalid fields.
    pub(crate) fn invalid_fields(errors: Vec<FieldError>) -> Self {
        let names: Vec<&str> = errors
            .iter()
            .map(|error| error.field.as_ref())
            .filter(|name| !name.is_empty())
            .collect();
        let detail = match names.as_slice() {
            [] => "invalid body".to_owned(),
            names => format!("invalid fields: {}", names.join(", ")),
        };
        Self {
            type_uri: INVALID_FIELDS,
            errors,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
    }

    /// Returns the problem for a failed readiness check. It is always 503, because a load balancer
    /// repeats the check in any case.
    pub(crate) fn not_ready(error_type: &str) -> Self {
        Self {
            type_uri: QUEUE_UNAVAILABLE,
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("queue check failed ({error_type})"),
            )
        }
    }

    /// Returns the problem for a readiness check during a shutdown.
    pub(crate) fn shutting_down() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the service is shutting down",
        )
    }

    /// Returns the problem for a request beyond the maximum number of concurrent requests.
    pub(crate) fn overloaded() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many requests are in progress: retry the request later",
        )
    }

    /// Returns the problem for a message that SQS did not confirm within the request's time limit.
    pub(crate) fn timed_out(limit: Duration) -> Self {
        let seconds = limit.as_secs_f64();
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            format!(
                "timed out waiting for SQS (request timeout {seconds} s): {MAY_HAVE_BEEN_SENT}"
            ),
        )
    }

    /// Returns the problem for a message that was not sent within the request's time limit.
    pub(crate) fn timed_out_before_send(limit: Duration) -> Self {
        let seconds = limit.as_secs_f64();
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            format!(
                "no time left to send the message (request timeout {seconds} s): it was not sent"
            ),
        )
    }

    /// Returns the problem for a message that was not sent because of a bug.
    pub(crate) fn not_sent() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the message was not sent",
        )
    }

    /// Returns the problem for a message that SQS did not confirm.
    pub(crate) fn from_send_error(error: &QueueSendError) -> Self {
        match error {
            // A valid request cannot produce an invalid message, so this is a bug of the service
            // and not an error of the client.
            QueueSendError::Invalid(_) => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the request was converted to an invalid SQS message",
            ),
            QueueSendError::Queue(QueueError::Unbuildable { .. }) => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "cannot build the call to the queue",
            ),
            QueueSendError::BufferFull { .. } => Self {
                type_uri: QUEUE_UNAVAILABLE,
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "too many messages wait for the queue: retry the request later",
                )
            },
            QueueSendError::Closed | QueueSendError::NoRuntime => Self::shutting_down(),
            error if error.may_have_been_sent() => Self::unconfirmed(error.error_type()),
            _ => Self::from_queue_error(error.is_retryable(), error.error_type()),
        }
    }

    /// Returns the problem for a message that SQS may have accepted, although the send failed.
    fn unconfirmed(error_type: &str) -> Self {
        Self {
            type_uri: QUEUE_UNAVAILABLE,
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!(
                    "the queue did not confirm the message ({error_type}): {MAY_HAVE_BEEN_SENT}"
                ),
            )
        }
    }

    fn from_queue_error(retryable: bool, error_type: &str) -> Self {
        if retryable {
            let detail = format!(
                "the queue is unavailable or throttles ({error_type}): retry the request later"
            );
            Self {
                type_uri: QUEUE_UNAVAILABLE,
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            }
        } else {
            let detail =
                format!("the queue rejected the message ({error_type}): a retry will not succeed");
            Self {
                type_uri: QUEUE_REJECTED,
                ..Self::new(StatusCode::BAD_GATEWAY, detail)
            }
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn document(&self) -> ProblemDocument<'_> {
        ProblemDocument {
            r#type: self.type_uri,
            title: self.title(),
            status: self.status.as_u16(),
            detail: &self.detail,
            line: self.position.map(|position| position.line),
            column: self.position.map(|position| position.column),
            errors: self.errors.iter().map(to_field_problem).collect(),
        }
    }

    fn title(&self) -> &'static str {
        match self.type_uri {
            INVALID_JSON => "The body is not valid JSON",
            UNSUPPORTED_ENCODING => "The body's encoding is not supported",
            INVALID_FIELDS => "The body's fields are invalid",
            QUEUE_UNAVAILABLE => "The queue is not available",
            QUEUE_REJECTED => "The queue rejected the message",
            _ => self.status.canonical_reason().unwrap_or("Problem"),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = self.document();
        let mut response = (self.status, Json(document)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        if self.type_uri == UNSUPPORTED_ENCODING {
            response
                .headers_mut()
                .insert(ACCEPT_ENCODING, ACCEPTED_ENCODINGS);
        }
        response
    }
}

/// Converts an error, with a JSON pointer to its field. An empty field means the whole document,
/// whose pointer is `#`.
fn to_field_problem(error: &FieldError) -> FieldProblem<'_> {
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
