//! How a request's body is packed: its format and its compression.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName};
use prost::Message;
use serde::Serialize;

use super::super::json::{self, SkippedRecords};
use super::super::signal::ExportRequest;
use super::error::RequestError;

/// In which of OTLP's two formats a request comes and is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Protobuf,
    Json,
}

impl Format {
    /// The format that the `content-type` names; parameters such as `charset` do not count.
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

    /// Reads a request. Also returns the part that could not be read.
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
            // The answers have string keys and finite numbers only, which always serialise; an
            // empty object is OTLP's answer without remarks.
            Self::Json => serde_json::to_vec(message).unwrap_or_else(|_| b"{}".to_vec()),
        }
    }
}

/// Undoes the `content-encoding`, up to `limit` bytes: a small gzip can hide gigabytes.
pub(super) fn decompress(
    headers: &HeaderMap,
    body: Bytes,
    limit: usize,
) -> Result<Bytes, RequestError> {
    match header_text(headers, &CONTENT_ENCODING)
        .to_ascii_lowercase()
        .as_str()
    {
        "" | "identity" => Ok(body),
        "gzip" => gunzip(&body, limit),
        other => Err(RequestError::ContentEncoding(other.to_owned())),
    }
}

fn gunzip(body: &[u8], limit: usize) -> Result<Bytes, RequestError> {
    let mut plain = Vec::new();
    let mut decoder = MultiGzDecoder::new(body).take(limit as u64 + 1);
    decoder.read_to_end(&mut plain).map_err(|error| {
        RequestError::Undecodable(format!("the gzip stream is broken: {error}"))
    })?;
    if plain.len() > limit {
        return Err(RequestError::TooLarge(limit));
    }
    Ok(plain.into())
}

fn header_text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}
