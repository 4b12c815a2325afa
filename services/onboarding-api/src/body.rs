//! Extractors that read a JSON object from a request body.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, Request};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use hyper::body::Body as _;

use crate::document::{Document, Fields};
use crate::onboarding::FieldError;
use crate::problem::Problem;
use crate::request_limits::RequestDeadline;

/// Maximum size of a request body in bytes. An onboarding has a few hundred. The limit leaves room
/// for future fields, and bounds the memory that a request can use.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;

/// Maximum time for a request body. The time limit of the request may shorten it. Without it, a
/// client that stalls would delay the shutdown.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A body that is a JSON object.
#[derive(Debug)]
pub(crate) struct JsonObject(pub(crate) Fields);

/// A body that is a JSON object or empty. An empty body counts as an object without fields.
#[derive(Debug)]
pub(crate) struct OptionalJsonObject(pub(crate) Fields);

/// A body that is JSON.
#[derive(Debug)]
pub(crate) struct JsonDocument(pub(crate) Document);

impl<S: Send + Sync> FromRequest<S> for JsonDocument {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_headers(request.headers())?;
        let bytes = read(request, state).await?;
        parse(&bytes).map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for JsonObject {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_headers(request.headers())?;
        let bytes = read(request, state).await?;
        parse_object(&bytes).map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for OptionalJsonObject {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        // Without a body, the headers that describe it do not matter.
        let checked = check_headers(request.headers());
        let bytes = read(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(Fields::default()));
        }
        checked?;
        parse_object(&bytes).map(Self)
    }
}

/// Reads the body. A `content-length` over the limit is rejected before the body is read, because
/// reading it would answer `expect: 100-continue`, and the client would send all of it.
async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    if request.body().size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(Problem::body_too_large());
    }
    let deadline = request.extensions().get::<RequestDeadline>();
    let limit = deadline.map_or(BODY_TIMEOUT, |deadline| {
        deadline.processing_timeout().min(BODY_TIMEOUT)
    });
    match tokio::time::timeout(limit, Bytes::from_request(request, state)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)))) => {
            Err(Problem::body_too_large())
        }
        Ok(Err(_)) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "the body ended early or could not be read",
        )),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("the body did not arrive within {} s", limit.as_secs_f64()),
        )),
    }
}

/// Checks that the headers declare an uncompressed JSON body.
fn check_headers(headers: &HeaderMap) -> Result<(), Problem> {
    check_content_encoding(headers)?;
    check_content_type(headers)
}

/// Rejects compressed bodies, which would otherwise be reported as invalid JSON.
fn check_content_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let is_identity = |coding: &str| coding.is_empty() || coding.eq_ignore_ascii_case("identity");
    let mut lines = headers.get_all(CONTENT_ENCODING).iter();
    let is_uncompressed = lines.all(|line| {
        let codings = line.to_str().ok();
        codings.is_some_and(|codings| codings.split(',').map(str::trim).all(is_identity))
    });
    if is_uncompressed {
        return Ok(());
    }
    Err(Problem::unsupported_encoding())
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
    {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "the header `content-type` must be application/json",
    ))
}

fn parse_object(bytes: &[u8]) -> Result<Fields, Problem> {
    match parse(bytes)? {
        Document::Object(fields) => Ok(fields),
        Document::Array(_) | Document::Scalar => {
            Err(Problem::invalid_fields(vec![FieldError::for_body(
                "must be a JSON object",
            )]))
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Document, Problem> {
    serde_json::from_slice(bytes).map_err(|error| Problem::invalid_json(&error))
}
