//! Error responses: problem documents (RFC 9457).

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

use super::wire::RunState;
use crate::allowed_hosts::HostCheckError;

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
/// Challenge of a response with status 401.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"baton load\"");

/// An error that becomes a problem document.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    errors: Vec<FieldError>,
    run: Option<Box<RunState>>,
}

/// An error in one field of the body.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct FieldError {
    pub(super) field: String,
    pub(super) found: serde_json::Value,
    pub(super) expected: String,
}

#[derive(Debug, Serialize)]
struct ProblemDocument<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'a RunState>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            errors: Vec::new(),
            run: None,
        }
    }

    pub(super) fn invalid_fields(errors: Vec<FieldError>) -> Self {
        let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        Self {
            detail: format!("invalid fields: {}", fields.join(", ")),
            errors,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "")
        }
    }

    /// Returns the problem for a request while a run is in progress.
    pub(super) fn running(run: Box<RunState>) -> Self {
        Self {
            detail: format!(
                "run {} is in progress, and ends in {} s: send DELETE to stop it",
                run.id, run.ends_in_seconds
            ),
            run: Some(run),
            ..Self::new(StatusCode::CONFLICT, "")
        }
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "the request needs the header authorization: Bearer TOKEN with the token in BATON_LOAD_TOKEN",
        )
    }

    fn title(&self) -> &'static str {
        if self.run.is_some() {
            "A run is in progress"
        } else if self.errors.is_empty() {
            self.status.canonical_reason().unwrap_or_default()
        } else {
            "The body's fields are invalid"
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = ProblemDocument {
            r#type: "about:blank",
            title: self.title(),
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
            run: self.run.as_deref(),
        };
        let mut response = (self.status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, CHALLENGE);
        }
        if let Some(run) = &self.run {
            headers.insert(RETRY_AFTER, HeaderValue::from(run.ends_in_seconds.max(1)));
        }
        response
    }
}

pub(super) fn host_error_response(error: &HostCheckError, _: &HeaderMap) -> Response {
    let expected = "expected localhost, a name under .localhost, or a loopback address";
    let detail = match error {
        HostCheckError::SeveralHosts(_) => error.to_string(),
        HostCheckError::Host(host) => format!("the host {host:?} is not allowed: {expected}"),
        HostCheckError::Origin(origin) => {
            format!("the origin {origin:?} is not allowed: {expected}")
        }
    };
    Problem::new(error.status(), detail).into_response()
}
