//! Statuses of responses, and their meaning for the request.

use std::fmt;

use ::http::{HeaderMap, HeaderValue, StatusCode};

#[cfg(feature = "grpc")]
mod grpc;

#[cfg(feature = "grpc")]
pub(crate) use grpc::{GrpcCode, GrpcStatus};

/// The status of a response, in the terms of its protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ResponseStatus {
    Http {
        code: StatusCode,
        /// Message from the collector. Empty if it sent none, or if the message might repeat a key.
        message: String,
    },
    #[cfg(feature = "grpc")]
    Grpc(GrpcStatus),
}

/// The meaning of a status for the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseClass {
    Accepted,
    /// The endpoint does not accept this form of OTLP, regardless of the request's content.
    WrongEndpoint,
    /// The same request may succeed later.
    Retryable,
    /// This request will never be accepted, but others may be.
    NonRetryable,
}

impl ResponseStatus {
    /// Returns true if the collector rejected the credentials of the request. The request may
    /// succeed with others.
    pub(crate) fn is_unauthorized(&self) -> bool {
        match self {
            Self::Http { code, .. } => is_unauthorized(*code),
            #[cfg(feature = "grpc")]
            Self::Grpc(status) => status.code.is_unauthorized(),
        }
    }
}

/// Classifies a status. The retryable ones are those of the OTLP specification ("OTLP/HTTP
/// Response"), and 401 and 403, because the key may just have been rotated.
pub(super) fn classify(status: StatusCode) -> ResponseClass {
    match status {
        _ if status.is_success() => ResponseClass::Accepted,
        _ if is_unauthorized(status) => ResponseClass::Retryable,
        _ if status.is_redirection() => ResponseClass::WrongEndpoint,
        StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::GONE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::MISDIRECTED_REQUEST
        | StatusCode::UPGRADE_REQUIRED
        | StatusCode::NOT_IMPLEMENTED
        | StatusCode::HTTP_VERSION_NOT_SUPPORTED => ResponseClass::WrongEndpoint,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => ResponseClass::Retryable,
        _ => ResponseClass::NonRetryable,
    }
}

fn is_unauthorized(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

impl From<StatusCode> for ResponseStatus {
    fn from(status: StatusCode) -> Self {
        Self::Http {
            code: status,
            message: String::new(),
        }
    }
}

impl fmt::Display for ResponseStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { code, message } if message.is_empty() => code.fmt(formatter),
            Self::Http { code, message } => write!(formatter, "{code} ({message})"),
            #[cfg(feature = "grpc")]
            Self::Grpc(status) => status.fmt(formatter),
        }
    }
}

/// Maximum length in bytes of a collector's message in a log line: enough for a sentence and an
/// identifier.
pub(super) const MAX_MESSAGE: usize = 200;

/// Returns the beginning of a message as one line without control characters. Returns an empty
/// string if the message repeats a secret value of `sent`, the headers of the request, or the key
/// in such a value.
pub(super) fn printable_message(message: &str, sent: &HeaderMap) -> String {
    let is_secret = |value: &HeaderValue| {
        let value = String::from_utf8_lossy(value.as_bytes());
        // The key follows the name of a scheme, such as `Bearer`.
        let key = value.rsplit(' ').next().unwrap_or_default();
        !key.is_empty() && message.contains(key)
    };
    let mut sensitive = sent.values().filter(|value| value.is_sensitive());
    if sensitive.any(is_secret) {
        return String::new();
    }
    message[..message.floor_char_boundary(MAX_MESSAGE)].replace(char::is_control, " ")
}
