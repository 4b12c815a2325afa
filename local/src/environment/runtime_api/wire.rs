//! Headers and documents of the Runtime API.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use super::{CallStatus, FunctionError, InvocationEvent, MAX_RESPONSE_BYTES, epoch_millis};
use crate::allowed_hosts::HostCheckError;

const REQUEST_ID: HeaderName = HeaderName::from_static("lambda-runtime-aws-request-id");
const DEADLINE: HeaderName = HeaderName::from_static("lambda-runtime-deadline-ms");
const FUNCTION_ARN: HeaderName = HeaderName::from_static("lambda-runtime-invoked-function-arn");
const TRACE_ID: HeaderName = HeaderName::from_static("lambda-runtime-trace-id");
/// A header of `/error`, and a trailer of a response that fails while it is being streamed.
const ERROR_TYPE: HeaderName = HeaderName::from_static("lambda-runtime-function-error-type");
/// A trailer with the error document in base64.
const ERROR_BODY: HeaderName = HeaderName::from_static("lambda-runtime-function-error-body");

/// Lambda's name for an error without a type.
const UNKNOWN_ERROR: &str = "Runtime.Unknown";

/// An error document. Every field is optional.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ErrorDocument {
    error_type: Option<String>,
    error_message: Option<String>,
}

/// Builds the response to `/next`.
pub(super) fn event_response(event: InvocationEvent) -> Response {
    let mut response = Response::new(Body::from(event.payload));
    let values = [
        (CONTENT_TYPE, "application/json".to_owned()),
        (REQUEST_ID, event.request_id),
        (DEADLINE, epoch_millis(event.deadline).to_string()),
        (FUNCTION_ARN, event.function_arn),
        (TRACE_ID, event.trace_id),
    ];
    for (name, value) in values {
        // This fails only if the function's name contains a line break; the runtime then gets no
        // such header.
        if let Ok(value) = value.try_into() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Reads the error that a runtime reports from its document; the type may be in a header instead.
pub(super) fn function_error(headers: &HeaderMap, payload: Bytes) -> FunctionError {
    let document: ErrorDocument = serde_json::from_slice(&payload).unwrap_or_default();
    let header = headers
        .get(ERROR_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    FunctionError {
        error_type: document
            .error_type
            .or(header)
            .unwrap_or_else(|| UNKNOWN_ERROR.to_owned()),
        message: document.error_message.unwrap_or_default(),
        payload,
    }
}

/// Reads the error of a streamed response from its trailers, if they contain one.
pub(super) fn error_in_trailers(trailers: &HeaderMap) -> Option<FunctionError> {
    trailers.get(ERROR_TYPE)?;
    let document = trailers
        .get(ERROR_BODY)
        .and_then(|encoded| BASE64_STANDARD.decode(encoded).ok());
    Some(function_error(
        trailers,
        Bytes::from(document.unwrap_or_default()),
    ))
}

/// Builds the error of an invocation whose response is too large.
pub(super) fn response_too_large_error(headers: &HeaderMap) -> FunctionError {
    let size = headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    let error_type = "Function.ResponseSizeTooLarge";
    let message = format!(
        "Response payload size ({} bytes) exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes).",
        size.unwrap_or("unknown number of"),
    );
    let payload =
        serde_json::json!({ "errorType": error_type, "errorMessage": message }).to_string();
    FunctionError {
        error_type: error_type.to_owned(),
        message,
        payload: Bytes::from(payload),
    }
}

pub(super) fn payload_too_large() -> Response {
    let message = format!("Exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes).");
    error_response(
        StatusCode::PAYLOAD_TOO_LARGE,
        "RequestEntityTooLarge",
        &message,
    )
}

/// Builds the response to a call from its result; `None` means that the environment's task has
/// ended.
pub(super) fn status_response(status: Option<CallStatus>) -> Response {
    match status {
        Some(CallStatus::Accepted) => (
            StatusCode::ACCEPTED,
            [(CONTENT_TYPE, "application/json")],
            r#"{"status":"OK"}"#,
        )
            .into_response(),
        Some(CallStatus::UnknownRequest) => error_response(
            StatusCode::BAD_REQUEST,
            "InvalidRequestID",
            "Invalid request ID",
        ),
        Some(CallStatus::InvalidStateTransition) => invalid_state_transition(),
        None => environment_shutting_down(),
    }
}

pub(super) fn invalid_state_transition() -> Response {
    error_response(
        StatusCode::FORBIDDEN,
        "InvalidStateTransition",
        "State transition is not allowed",
    )
}

pub(super) fn environment_shutting_down() -> Response {
    error_response(
        StatusCode::INTERNAL_SERVER_ERROR,
        "InternalServerError",
        "The execution environment is being shut down",
    )
}

/// Builds the response to a request for another host, or from another site's page.
pub(super) fn host_error_response(error: &HostCheckError, _headers: &HeaderMap) -> Response {
    error_response(error.status(), "Forbidden", &error.to_string())
}

pub(super) fn error_response(status: StatusCode, error_type: &str, message: &str) -> Response {
    let document = serde_json::json!({ "errorType": error_type, "errorMessage": message });
    (
        status,
        [(CONTENT_TYPE, "application/json")],
        document.to_string(),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_in_the_document_overrides_that_in_the_header() {
        let headers = HeaderMap::from_iter([(ERROR_TYPE, "unhandled".parse().unwrap())]);

        let named = function_error(
            &headers,
            Bytes::from_static(br#"{"errorType":"Own","errorMessage":"m"}"#),
        );
        let unnamed = function_error(&headers, Bytes::from_static(b"not json"));
        let neither = function_error(&HeaderMap::new(), Bytes::new());

        assert_eq!(
            (named.error_type.as_str(), named.message.as_str()),
            ("Own", "m")
        );
        assert_eq!(
            (unnamed.error_type.as_str(), &unnamed.payload[..]),
            ("unhandled", &b"not json"[..])
        );
        assert_eq!(neither.error_type, UNKNOWN_ERROR);
    }

    #[test]
    fn trailers_end_a_streamed_response_with_an_error() {
        let document = r#"{"errorType":"Late","errorMessage":"after the first chunk"}"#;
        let trailers = HeaderMap::from_iter([
            (ERROR_TYPE, "Runtime.Late".parse().unwrap()),
            (
                ERROR_BODY,
                BASE64_STANDARD.encode(document).parse().unwrap(),
            ),
        ]);

        let failure = error_in_trailers(&trailers).unwrap();

        assert_eq!(
            (failure.error_type.as_str(), failure.message.as_str()),
            ("Late", "after the first chunk")
        );
        assert_eq!(error_in_trailers(&HeaderMap::new()), None);
    }
}
