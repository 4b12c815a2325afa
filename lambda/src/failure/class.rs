//! The class of a failure.

/// The kind of a [`Failure`](crate::Failure): retryable or permanent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Redelivery can help: a dependency was busy, a connection broke, or a call timed out.
    Retryable,
    /// Redelivery cannot help, because the message itself is invalid. Without a dead-letter queue
    /// of the consumer, SQS redelivers it like any other failed message, until the queue's redrive
    /// policy moves it.
    Permanent,
}

/// Class of a [`Failure`](crate::Failure): its kind and its `error.type`.
///
/// ```
/// use baton_lambda::{Class, FailureKind};
///
/// const BAD_ADDRESS: Class = Class::permanent("bad_address");
/// assert_eq!(BAD_ADDRESS.kind(), FailureKind::Permanent);
/// assert_eq!(BAD_ADDRESS.error_type(), "bad_address");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    kind: FailureKind,
    error_type: &'static str,
}

impl Class {
    /// Creates the class of failures that redelivery may resolve. `error_type` becomes `error.type`
    /// on the span and must be one of few values, such as `timeout`.
    #[must_use]
    pub const fn retry(error_type: &'static str) -> Self {
        Self {
            kind: FailureKind::Retryable,
            error_type,
        }
    }

    /// Creates the class of failures that redelivery cannot resolve. `error_type` becomes
    /// `error.type` on the span and must be one of few values.
    #[must_use]
    pub const fn permanent(error_type: &'static str) -> Self {
        Self {
            kind: FailureKind::Permanent,
            error_type,
        }
    }

    /// Returns the kind of the failures.
    #[must_use]
    pub const fn kind(self) -> FailureKind {
        self.kind
    }

    /// Returns the `error.type` of the failures.
    #[must_use]
    pub const fn error_type(self) -> &'static str {
        self.error_type
    }
}
