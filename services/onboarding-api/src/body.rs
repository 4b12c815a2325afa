//! Reading a JSON object out of a request, with a problem for each way in which it is none.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, Request};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

use crate::onboarding::FieldError;
use crate::problem::Problem;

/// Bytes of a request's body. An onboarding has a few hundred; the limit leaves room for fields to
/// come and none for abuse.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;

/// How long a client may take to send its body. One that stalls would otherwise hold the shutdown
/// up.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A body that is a JSON object.
#[derive(Debug)]
pub(crate) struct JsonObject(pub(crate) Map<String, Value>);

/// A body that is a JSON object or empty; empty is an object without fields.
#[derive(Debug)]
pub(crate) struct OptionalJsonObject(pub(crate) Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for JsonObject {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        expect_plain_json(request.headers())?;
        let bytes = read(request, state).await?;
        parse(&bytes).map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for OptionalJsonObject {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_json = expect_plain_json(request.headers());
        let bytes = read(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(Map::new()));
        }
        is_json?;
        parse(&bytes).map(Self)
    }
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)))) => {
            Err(Problem::plain(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body has more than {MAX_BODY_BYTES} bytes"),
            ))
        }
        Ok(Err(_)) => Err(Problem::plain(
            StatusCode::BAD_REQUEST,
            "the body could not be read to its end",
        )),
        Err(_) => Err(Problem::plain(
            StatusCode::REQUEST_TIMEOUT,
            format!(
                "the body did not arrive within {} s",
                BODY_TIMEOUT.as_secs()
            ),
        )),
    }
}

/// Checks the headers that describe the body.
fn expect_plain_json(headers: &HeaderMap) -> Result<(), Problem> {
    expect_no_encoding(headers)?;
    expect_json(headers)
}

/// Refuses compressed bodies, which would otherwise be reported as text that is not JSON.
fn expect_no_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let is_identity = |coding: &str| coding.is_empty() || coding.eq_ignore_ascii_case("identity");
    let mut lines = headers.get_all(CONTENT_ENCODING).iter();
    let is_plain = lines.all(|line| {
        let codings = line.to_str().ok();
        codings.is_some_and(|codings| codings.split(',').map(str::trim).all(is_identity))
    });
    if is_plain {
        return Ok(());
    }
    Err(Problem::unsupported_encoding())
}

fn expect_json(headers: &HeaderMap) -> Result<(), Problem> {
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
    Err(Problem::plain(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "the header `content-type` must be application/json",
    ))
}

fn parse(bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    match serde_json::from_slice(bytes).map_err(|error| Problem::invalid_json(&error))? {
        Value::Object(fields) => Ok(fields),
        _ => Err(Problem::invalid_fields(vec![FieldError::whole_body(
            "must be a JSON object",
        )])),
    }
}
