//! Format and compression of a request's body.

use std::io::Read;

use axum::extract::rejection::BytesRejection;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, StatusCode};
use prost::Message;
use serde::Serialize;

use super::error::RequestError;
use crate::otlp::json::{self, SkippedRecords};
use crate::otlp::signal::ExportRequest;

/// Largest body, before and after decompression. It is a collector's default, so that a request
/// that is too large in production is too large here.
pub(in crate::otlp) const MAX_BODY_SIZE: usize = 20 * 1024 * 1024;

/// One of OTLP's two formats. The response has the format of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Protobuf,
    Json,
}

impl Format {
    /// Returns the format that the `content-type` names; parameters such as `charset` are ignored.
    pub(super) fn from_headers(headers: &HeaderMap) -> Result<Self, RequestError> {
        let value = header_text(headers, &CONTENT_TYPE);
        let media_type = value.split(';').next().unwrap_or_default().trim();
        [Self::Protobuf, Self::Json]
            .into_iter()
            .find(|format| media_type.eq_ignore_ascii_case(format.content_type()))
            .ok_or_else(|| RequestError::ContentType(value.to_owned()))
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    /// Decodes a request, and returns which of its records were skipped.
    pub(super) fn decode<R: ExportRequest>(
        self,
        body: &[u8],
    ) -> Result<(R, SkippedRecords), RequestError> {
        let decode = |bytes: &[u8]| {
            R::decode(bytes).map_err(|error| RequestError::Undecodable(error.to_string()))
        };
        match self {
            Self::Protobuf => Ok((decode(body)?, SkippedRecords::default())),
            Self::Json => {
                let (bytes, skipped) =
                    json::to_protobuf(body, R::SCHEMA).map_err(RequestError::Undecodable)?;
                Ok((decode(&bytes)?, skipped))
            }
        }
    }

    pub(super) fn encode<M: Message + Serialize>(self, message: &M) -> Vec<u8> {
        match self {
            Self::Protobuf => message.encode_to_vec(),
            // Responses have only string keys and finite numbers, which always serialise. An empty
            // object is a response without a partial success.
            Self::Json => serde_json::to_vec(message).unwrap_or_else(|_| b"{}".to_vec()),
        }
    }
}

/// Decompresses a body according to its `content-encoding`.
pub(super) fn decompress(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Bytes, RequestError> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => RequestError::TooLarge(MAX_BODY_SIZE),
        _ => RequestError::Undecodable(rejection.body_text()),
    })?;
    match header_text(headers, &CONTENT_ENCODING)
        .to_ascii_lowercase()
        .as_str()
    {
        "" | "identity" => Ok(body),
        "gzip" => gunzip(&body),
        other => Err(RequestError::ContentEncoding(other.to_owned())),
    }
}

/// Decompresses at most [`MAX_BODY_SIZE`] bytes, because a small gzip stream can contain gigabytes.
fn gunzip(body: &[u8]) -> Result<Bytes, RequestError> {
    let mut plain = Vec::new();
    let mut decoder = MultiGzDecoder::new(body).take(MAX_BODY_SIZE as u64 + 1);
    decoder
        .read_to_end(&mut plain)
        .map_err(|error| RequestError::Undecodable(format!("invalid gzip: {error}")))?;
    if plain.len() > MAX_BODY_SIZE {
        return Err(RequestError::TooLarge(MAX_BODY_SIZE));
    }
    Ok(plain.into())
}

fn header_text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}
