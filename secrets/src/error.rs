//! Errors in reading headers. None contains what was read.

use baton_telemetry::InvalidHeaders;

/// A failure to read headers from a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The service responded without a usable secret.
    #[error("{arn}: {rejection}")]
    Rejected {
        /// ARN of the secret.
        arn: String,
        /// The service's response.
        rejection: Rejection,
    },
    /// The request could not be built or sent, or no usable response arrived.
    #[error("{arn}: {reason}")]
    NoResponse {
        /// ARN of the secret.
        arn: String,
        /// The SDK's error and its causes.
        reason: String,
    },
    /// The secret does not contain headers.
    #[error("{arn} does not contain valid headers")]
    Content {
        /// ARN of the secret.
        arn: String,
        /// Position and form of the error.
        source: InvalidHeaders,
    },
}

/// The reason why a response does not contain a usable secret: the service rejected the request, or
/// the content cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The role is not allowed to read or decrypt the secret.
    #[error("access denied ({code}): {message}")]
    AccessDenied {
        /// AWS's error code.
        code: String,
        /// AWS's error message.
        message: String,
    },
    /// The account has no secret of this name in this region.
    #[error("not found ({code})")]
    NotFound {
        /// AWS's error code.
        code: String,
    },
    /// The service did not accept the credentials.
    #[error("credentials not accepted ({code}): {message}")]
    Credentials {
        /// AWS's error code.
        code: String,
        /// AWS's error message.
        message: String,
    },
    /// Any other error with a code.
    #[error("{code}: {message}")]
    Other {
        /// AWS's error code.
        code: String,
        /// AWS's error message.
        message: String,
    },
    /// An error response without a code.
    #[error("status {0}")]
    Status(u16),
    /// A binary secret.
    #[error("the secret is binary, expected text")]
    Binary,
    /// A response in an unexpected format.
    #[error("unexpected format of the response")]
    Unreadable,
}

impl Rejection {
    /// Classifies an error code of either service.
    pub(crate) fn from_code(code: String, message: String) -> Self {
        match &*code {
            "AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation" => {
                Self::AccessDenied { code, message }
            }
            "DecryptionFailure" => Self::AccessDenied { code, message },
            "ResourceNotFoundException" | "ParameterNotFound" | "ParameterVersionNotFound" => {
                Self::NotFound { code }
            }
            "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "ExpiredTokenException"
            | "InvalidClientTokenId"
            | "MissingAuthenticationTokenException" => Self::Credentials { code, message },
            _ => Self::Other { code, message },
        }
    }
}
