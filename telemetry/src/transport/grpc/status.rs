//! Status of a gRPC call ("gRPC over HTTP2", "Responses").

use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, StatusCode};
use percent_encoding::percent_decode;

use super::retry_info;
use crate::transport::status::{self, GrpcCode, GrpcStatus, ResponseClass, printable_message};

const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";
const DETAILS: &str = "grpc-status-details-bin";

/// Status of a call, and what the collector adds to it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CallStatus {
    pub(super) status: GrpcStatus,
    /// The HTTP status, if there is no gRPC status.
    http_status: Option<StatusCode>,
    pub(super) retry_after: Option<Duration>,
}

impl CallStatus {
    /// Reads the status from trailers, or from the headers of a response that consists only of
    /// headers. `sent` are the headers of the request; their secret values are removed from the
    /// message.
    pub(super) fn read(headers: &HeaderMap, sent: &HeaderMap) -> Option<Self> {
        let code = headers.get(STATUS)?.to_str().ok()?.parse();
        let code = code.map_or(GrpcCode::UNKNOWN, GrpcCode);
        let message = headers.get(MESSAGE).map(HeaderValue::as_bytes);
        let details = headers.get(DETAILS).map(HeaderValue::as_bytes);
        let message = message.filter(|_| !code.is_unauthorized());
        Some(Self {
            status: GrpcStatus {
                code,
                message: message.map_or_else(String::new, |message| {
                    printable_message(&percent_decode(message).decode_utf8_lossy(), sent)
                }),
            },
            http_status: None,
            retry_after: details.and_then(retry_info::delay),
        })
    }

    /// Creates the status of a response that has only an HTTP status.
    pub(super) fn from_http(status: StatusCode) -> Self {
        Self {
            status: GrpcStatus {
                code: GrpcCode::from_http(status),
                message: format!("HTTP {status}"),
            },
            http_status: Some(status),
            retry_after: None,
        }
    }

    /// Classifies the status. The retryable ones are those of the OTLP specification ("OTLP/gRPC
    /// Response"), and UNAUTHENTICATED and PERMISSION_DENIED, because the key may just have been
    /// rotated.
    pub(super) fn classify(&self) -> ResponseClass {
        let http_class = self.http_status.map(status::classify);
        match self.status.code {
            _ if http_class == Some(ResponseClass::WrongEndpoint) => ResponseClass::WrongEndpoint,
            GrpcCode::OK => ResponseClass::Accepted,
            // The server does not implement the service.
            GrpcCode::UNIMPLEMENTED => ResponseClass::WrongEndpoint,
            GrpcCode::CANCELLED
            | GrpcCode::DEADLINE_EXCEEDED
            | GrpcCode::ABORTED
            | GrpcCode::OUT_OF_RANGE
            | GrpcCode::UNAVAILABLE
            | GrpcCode::DATA_LOSS => ResponseClass::Retryable,
            // Without a delay, the exhausted resource does not recover: it may be the maximum size
            // of a message.
            GrpcCode::RESOURCE_EXHAUSTED if self.retry_after.is_some() => ResponseClass::Retryable,
            code if code.is_unauthorized() => ResponseClass::Retryable,
            _ => ResponseClass::NonRetryable,
        }
    }
}

#[cfg(test)]
mod tests;
