//! Errors of the table.
//!
//! Every error is retryable, even if DynamoDB rejects the call permanently: because the table is
//! missing, the role may not write to it, or the item breaks a rule. That is an error of the
//! deployment and not of the message, which must be kept until a person has fixed it. If it fails
//! too often, the message is moved to the dead-letter queue like any other.

use std::error::Error;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use baton_lambda::Failure;
use baton_sqs::error_type;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanRef;
use opentelemetry_semantic_conventions::attribute::DB_RESPONSE_STATUS_CODE;

/// Error codes of throttled calls.
const THROTTLING_CODES: [&str; 4] = [
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "Throttling",
];

/// The lowest HTTP status of a server error, which is temporary.
const FIRST_SERVER_ERROR: u16 = 500;

/// An error of a put. The customer may have been stored nevertheless. No error contains a value of
/// the item.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TableError {
    /// DynamoDB responded with an error.
    #[error("DynamoDB rejected the put: {code} (HTTP {status})")]
    Rejected { code: String, status: u16 },
    /// All attempts failed without a usable response.
    #[error("no response from DynamoDB: {error_type}")]
    NoResponse {
        error_type: &'static str,
        source: Box<dyn Error + Send + Sync>,
    },
    /// The customer exists, but the response does not contain the item, so the message that created
    /// it is unknown. DynamoDB returns the item; compatible servers may not.
    #[error("the customer exists, but the response does not contain the item")]
    MissingItem,
}

impl TableError {
    /// Records DynamoDB's code in the span of the call, if there is one. Returns `error.type`.
    pub(super) fn record(&self, span: &SpanRef<'_>) -> String {
        match self {
            Self::Rejected { code, .. } => {
                span.set_attribute(KeyValue::new(DB_RESPONSE_STATUS_CODE, code.clone()));
                code.clone()
            }
            Self::NoResponse { error_type, .. } => (*error_type).to_owned(),
            Self::MissingItem => error_type::INVALID_RESPONSE.to_owned(),
        }
    }

    /// Converts the error to a retryable failure of the message.
    pub(in crate::store) fn into_failure(self) -> Failure {
        Failure::retry(self.failure_type(), self)
    }

    /// Returns `error.type` of the message. It has few values, because it is a metric attribute.
    fn failure_type(&self) -> &'static str {
        match self {
            Self::Rejected { code, .. } if THROTTLING_CODES.contains(&code.as_str()) => {
                "store_throttled"
            }
            Self::Rejected { status, .. } if *status >= FIRST_SERVER_ERROR => "store_unavailable",
            Self::Rejected { .. } => "store_refused",
            Self::NoResponse { error_type, .. } => match *error_type {
                error_type::TIMEOUT => "store_timeout",
                error_type::CONNECT | error_type::IO => "store_unreachable",
                _ => "store_failed",
            },
            Self::MissingItem => "store_failed",
        }
    }
}

impl<E> From<SdkError<E>> for TableError
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        if let SdkError::ServiceError(rejection) = &error {
            return Self::Rejected {
                code: error.code().unwrap_or(error_type::OTHER).to_owned(),
                status: rejection.raw().status().as_u16(),
            };
        }
        Self::NoResponse {
            error_type: error_type::classify(&error).unwrap_or(error_type::OTHER),
            source: error.into(),
        }
    }
}
