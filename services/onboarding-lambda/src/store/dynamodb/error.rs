//! What can go wrong between us and the table.
//!
//! Every case is retryable. Also when DynamoDB refuses the call for good, because the table is
//! missing, the role may not write to it or the item breaks a rule: that is a fault of ours, which
//! somebody mends, and the message, which has none, must be there when they have. It goes to the
//! dead-letter queue like every message that failed too often.

use std::error::Error;

use aws_sdk_dynamodb::error::{ConnectorError, ProvideErrorMetadata, SdkError};
use baton_lambda::Failure;
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanRef, Status};
use opentelemetry_semantic_conventions::attribute::{DB_RESPONSE_STATUS_CODE, ERROR_TYPE};

/// `error.type` of the call where DynamoDB gave no code.
const TYPE_INVALID_RESPONSE: &str = "invalid_response";
const TYPE_IO: &str = "io";
const TYPE_TIMEOUT: &str = "timeout";
const TYPE_OTHER: &str = "_OTHER";

/// Codes with which DynamoDB says "later".
const THROTTLING_CODES: [&str; 4] = [
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "Throttling",
];

/// From this HTTP status on, the fault is the server's and may pass.
const FIRST_SERVER_ERROR: u16 = 500;

/// A customer that the table has not taken, as far as we know. No error shows what is in an item.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TableError {
    /// DynamoDB answered with an error.
    #[error("DynamoDB refused the put: {code} (HTTP {status})")]
    Refused { code: String, status: u16 },
    /// No usable answer came, after all attempts: the customer may be there.
    #[error("no answer from DynamoDB: {error_type}")]
    NoAnswer {
        error_type: &'static str,
        source: Box<dyn Error + Send + Sync>,
    },
    /// The customer is there, and whether this message brought it we were not told. DynamoDB tells;
    /// what speaks its protocol may not.
    #[error("a customer is in the way of the put, and the answer does not show whose")]
    ItemWithheld,
}

impl TableError {
    /// Says on the span of the call that it failed, by DynamoDB's code where there is one.
    pub(super) fn record(&self, span: &SpanRef<'_>) {
        let error_type = match self {
            Self::Refused { code, .. } => {
                span.set_attribute(KeyValue::new(DB_RESPONSE_STATUS_CODE, code.clone()));
                code.clone()
            }
            Self::NoAnswer { error_type, .. } => (*error_type).to_owned(),
            Self::ItemWithheld => TYPE_INVALID_RESPONSE.to_owned(),
        };
        span.set_attribute(KeyValue::new(ERROR_TYPE, error_type));
        span.set_status(Status::error(self.to_string()));
    }

    /// What has become of the message: nothing, so far.
    pub(in crate::store) fn into_failure(self) -> Failure {
        Failure::retry(self.failure_type(), self)
    }

    /// `error.type` of the message: one of few, whatever DynamoDB says.
    fn failure_type(&self) -> &'static str {
        match self {
            Self::Refused { code, .. } if THROTTLING_CODES.contains(&code.as_str()) => {
                "store_throttled"
            }
            Self::Refused { status, .. } if *status >= FIRST_SERVER_ERROR => "store_unavailable",
            Self::Refused { .. } => "store_refused",
            Self::NoAnswer { error_type, .. } => match *error_type {
                TYPE_TIMEOUT => "store_timeout",
                TYPE_IO => "store_unreachable",
                _ => "store_failed",
            },
            Self::ItemWithheld => "store_failed",
        }
    }
}

impl<E> From<SdkError<E>> for TableError
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        let error_type = match &error {
            SdkError::ServiceError(refusal) => {
                return Self::Refused {
                    code: error.code().unwrap_or(TYPE_OTHER).to_owned(),
                    status: refusal.raw().status().as_u16(),
                };
            }
            SdkError::TimeoutError(_) => TYPE_TIMEOUT,
            SdkError::DispatchFailure(failure) => failure
                .as_connector_error()
                .map_or(TYPE_OTHER, connector_error_type),
            SdkError::ResponseError(_) => TYPE_INVALID_RESPONSE,
            _ => TYPE_OTHER,
        };
        Self::NoAnswer {
            error_type,
            source: error.into(),
        }
    }
}

/// A connection that DynamoDB closed instead of answering is not classified by the SDK, only marked
/// as worth another attempt.
fn connector_error_type(error: &ConnectorError) -> &'static str {
    if error.is_timeout() {
        TYPE_TIMEOUT
    } else if error.is_io() || error.as_other().is_some() {
        TYPE_IO
    } else {
        TYPE_OTHER
    }
}
