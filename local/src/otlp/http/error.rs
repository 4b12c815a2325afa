//! Errors of a request. OTLP asks for an HTTP status and a `google.rpc.Status` in the request's
//! format.

use http::StatusCode;
use prost::Message;
use serde::Serialize;

use crate::allowed_hosts::HostCheckError;

/// gRPC code of requests that cannot be read.
const INVALID_ARGUMENT: i32 = 3;
/// gRPC code of requests for other hosts.
const PERMISSION_DENIED: i32 = 7;

/// Error of a rejected request.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("content-type {0:?} is not OTLP: expected application/x-protobuf or application/json")]
    ContentType(String),
    #[error("content-encoding {0:?} is not supported: expected gzip or none")]
    ContentEncoding(String),
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body is not an OTLP request: {0}")]
    Undecodable(String),
    #[error(transparent)]
    Host(HostCheckError),
}

impl RequestError {
    /// Returns the `google.rpc.Status` that describes the error.
    pub(super) fn rpc_status(&self) -> RpcStatus {
        RpcStatus {
            code: self.rpc_code(),
            message: self.to_string(),
        }
    }

    pub(super) fn status_code(&self) -> StatusCode {
        match self {
            Self::ContentType(_) | Self::ContentEncoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Undecodable(_) => StatusCode::BAD_REQUEST,
            Self::Host(error) => error.status(),
        }
    }

    fn rpc_code(&self) -> i32 {
        match self {
            Self::Host(_) => PERMISSION_DENIED,
            _ => INVALID_ARGUMENT,
        }
    }
}

/// `google.rpc.Status` without details.
#[derive(Clone, PartialEq, Message, Serialize)]
pub(super) struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}
