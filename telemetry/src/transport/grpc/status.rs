//! Status of a gRPC call ("gRPC over HTTP2", "Responses").

use std::fmt;
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, StatusCode};
use percent_encoding::percent_decode;

use super::retry_info;
use crate::transport::status::{self, ResponseClass, printable_message};

const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";
const DETAILS: &str = "grpc-status-details-bin";

/// A status code. It may be unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code(u32);

/// Names of the codes, indexed by number.
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

impl Code {
    pub(crate) const OK: Self = Self(0);
    const CANCELLED: Self = Self(1);
    const UNKNOWN: Self = Self(2);
    const DEADLINE_EXCEEDED: Self = Self(4);
    const PERMISSION_DENIED: Self = Self(7);
    const RESOURCE_EXHAUSTED: Self = Self(8);
    const ABORTED: Self = Self(10);
    const OUT_OF_RANGE: Self = Self(11);
    const UNIMPLEMENTED: Self = Self(12);
    const INTERNAL: Self = Self(13);
    const UNAVAILABLE: Self = Self(14);
    const DATA_LOSS: Self = Self(15);
    const UNAUTHENTICATED: Self = Self(16);

    pub(crate) fn is_unauthorized(self) -> bool {
        matches!(self, Self::UNAUTHENTICATED | Self::PERMISSION_DENIED)
    }

    /// Maps the HTTP status of a response without a gRPC status, which usually comes from a proxy
    /// or load balancer ("HTTP to gRPC Status Code Mapping").
    fn from_http(status: StatusCode) -> Self {
        match status {
            StatusCode::BAD_REQUEST => Self::INTERNAL,
            StatusCode::UNAUTHORIZED => Self::UNAUTHENTICATED,
            StatusCode::FORBIDDEN => Self::PERMISSION_DENIED,
            StatusCode::NOT_FOUND => Self::UNIMPLEMENTED,
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Self::UNAVAILABLE,
            _ => Self::UNKNOWN,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = usize::try_from(self.0).ok().and_then(|at| NAMES.get(at));
        match name {
            Some(name) => formatter.write_str(name),
            None => write!(formatter, "code {}", self.0),
        }
    }
}

/// Code and message of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GrpcStatus {
    pub(crate) code: Code,
    /// Message from the collector. Empty if it sent none, or if the message might repeat a key.
    message: String,
}

impl fmt::Display for GrpcStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "gRPC {}", self.code)?;
        match self.message.as_str() {
            "" => Ok(()),
            message => write!(formatter, " ({message})"),
        }
    }
}

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
        let code = code.map_or(Code::UNKNOWN, Code);
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
                code: Code::from_http(status),
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
            Code::OK => ResponseClass::Accepted,
            // The server does not implement the service.
            Code::UNIMPLEMENTED => ResponseClass::WrongEndpoint,
            Code::CANCELLED
            | Code::DEADLINE_EXCEEDED
            | Code::ABORTED
            | Code::OUT_OF_RANGE
            | Code::UNAVAILABLE
            | Code::DATA_LOSS => ResponseClass::Retryable,
            // Without a delay, the exhausted resource does not recover: it may be the maximum size
            // of a message.
            Code::RESOURCE_EXHAUSTED if self.retry_after.is_some() => ResponseClass::Retryable,
            code if code.is_unauthorized() => ResponseClass::Retryable,
            _ => ResponseClass::NonRetryable,
        }
    }
}

#[cfg(test)]
mod tests;
