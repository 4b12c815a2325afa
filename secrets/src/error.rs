//! Why there are no headers. Never what was read.

use baton_telemetry::InvalidHeaders;

/// Why a secret was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The service answered, and not with the secret.
    #[error("{arn}: {refusal}")]
    Refused {
        /// The secret's.
        arn: String,
        /// What it answered.
        refusal: Refusal,
    },
    /// There was no answer.
    #[error("{arn}: {reason}")]
    Unreachable {
        /// The secret's.
        arn: String,
        /// What the SDK says.
        reason: String,
    },
    /// What is kept there is no headers.
    #[error("the content of {arn} cannot be used")]
    Content {
        /// The secret's.
        arn: String,
        /// Where it is wrong.
        source: InvalidHeaders,
    },
}

/// What a service answered instead of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The role may not read it, or may not decrypt it.
    #[error("access denied ({code}): {message}")]
    AccessDenied {
        /// AWS's name of the error.
        code: String,
        /// AWS's sentence.
        message: String,
    },
    /// There is none of this name in this account and region.
    #[error("not found ({code})")]
    NotFound {
        /// AWS's name of the error.
        code: String,
    },
    /// The credentials are not accepted.
    #[error("the credentials are not accepted ({code}): {message}")]
    Credentials {
        /// AWS's name of the error.
        code: String,
        /// AWS's sentence.
        message: String,
    },
    /// Anything else that AWS has a name for.
    #[error("{code}: {message}")]
    Other {
        /// AWS's name of the error.
        code: String,
        /// AWS's sentence.
        message: String,
    },
    /// An answer without AWS's name of the error.
    #[error("answered with status {0}")]
    Status(u16),
    /// A secret of bytes.
    #[error("the secret is binary, expected text")]
    Binary,
    /// An answer that is not of the service's form.
    #[error("the answer is not of the form expected")]
    Unreadable,
}

impl Refusal {
    pub(crate) fn of(code: String, message: String) -> Self {
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
