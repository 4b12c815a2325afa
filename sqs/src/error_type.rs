//! The values of `error.type`, and the classification of the AWS SDK's errors.
//!
//! The classification holds for every AWS service: the SDK's errors have the same structure for all
//! of them.

use std::error::Error;

use aws_sdk_sqs::error::{ConnectorError, SdkError};
use hyper_util::client::legacy;

/// SQS would reject the message, so it was not sent.
pub const INVALID_MESSAGE: &str = "invalid_message";
/// The SDK could not build the request, so nothing was sent.
pub const UNBUILDABLE: &str = "unbuildable";
/// No connection was established.
pub const CONNECT: &str = "connect";
/// An established connection broke.
pub const IO: &str = "io";
/// The client's timeouts expired.
pub const TIMEOUT: &str = "timeout";
/// The response could not be read, or lacked a required field.
pub const INVALID_RESPONSE: &str = "invalid_response";
/// SQS received another body than the one that was sent.
pub const DIGEST_MISMATCH: &str = "digest_mismatch";
/// The buffer of the sender was full.
pub const BUFFER_FULL: &str = "buffer_full";
/// The sender was closed before the message was sent.
pub const CLOSED: &str = "closed";
/// No tokio runtime was running for the sender.
pub const NO_RUNTIME: &str = "no_runtime";
/// The caller dropped the future of the call.
pub const CANCELLED: &str = "cancelled";
/// The task of the call panicked.
pub const PANIC: &str = "panic";
/// The error has no other type: the value that the semantic conventions define.
pub const OTHER: &str = "_OTHER";

/// Classifies an error that the SDK reports without an error response from AWS.
///
/// Returns `None` for an error response, whose type is AWS's error code.
pub fn classify<E>(error: &SdkError<E>) -> Option<&'static str> {
    Some(match error {
        SdkError::ServiceError(_) => return None,
        SdkError::ConstructionFailure(_) => UNBUILDABLE,
        SdkError::TimeoutError(_) => TIMEOUT,
        SdkError::DispatchFailure(failure) => failure
            .as_connector_error()
            .map_or(OTHER, classify_connector_error),
        SdkError::ResponseError(_) => INVALID_RESPONSE,
        _ => OTHER,
    })
}

/// The SDK reports an I/O error both for a refused connection and for one that broke. It does not
/// classify a connection that AWS closed without a response, and only marks it as retryable.
pub(crate) fn classify_connector_error(error: &ConnectorError) -> &'static str {
    if error.is_timeout() {
        TIMEOUT
    } else if is_connect_error(error) {
        CONNECT
    } else if error.is_io() || error.as_other().is_some() {
        IO
    } else {
        OTHER
    }
}

/// Returns `true` if the SDK's HTTP client, which is hyper-util's, failed before it had a
/// connection. Errors of other clients are not recognised.
fn is_connect_error(error: &ConnectorError) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(client_error) = error.downcast_ref::<legacy::Error>() {
            return client_error.is_connect();
        }
        cause = error.source();
    }
    false
}

/// Returns the `error.type` of work whose future is being dropped.
pub(crate) fn classify_drop() -> &'static str {
    if std::thread::panicking() {
        PANIC
    } else {
        CANCELLED
    }
}
