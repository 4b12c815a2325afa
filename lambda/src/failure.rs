//! The error that a handler returns.

use std::error::Error as StdError;
use std::fmt;

use baton_telemetry::ErrorChain;
use tower::BoxError;

/// The kind of a [`Failure`]: retryable or permanent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Redelivery can help: a dependency was busy, a connection broke, or a call timed out.
    Retryable,
    /// Redelivery cannot help, because the message itself is invalid. Without a dead-letter queue
    /// of the consumer, SQS redelivers it like any other failed message, until the queue's redrive
    /// policy moves it.
    Permanent,
}

/// Error of a handler.
///
/// `?` converts any type that implements [`std::error::Error`] into a retryable failure, with the
/// name of the type as `error.type`. Boxed errors and `anyhow::Error` do not implement the trait
/// and need a name: `.map_err(|error| Failure::retry("store", error))?`. `Failure` does not
/// implement it either, because that would make the conversion ambiguous.
///
/// ```
/// use baton_lambda::Failure;
///
/// fn plan(name: &str) -> Result<u8, Failure> {
///     if name.is_empty() {
///         return Err(Failure::permanent("missing_plan", "the plan is empty"));
///     }
///     Ok(name.parse()?)
/// }
/// # assert!(plan("x").is_err());
/// ```
///
/// The text of the source is recorded in the span and in the log. It must contain neither a message
/// body nor personal data.
pub struct Failure {
    kind: FailureKind,
    error_type: &'static str,
    source: BoxError,
}

impl Failure {
    /// Creates a failure that redelivery may resolve. `error_type` becomes `error.type` on the span
    /// and must be one of few values, such as `timeout`.
    pub fn retry(error_type: &'static str, source: impl Into<BoxError>) -> Self {
        Self {
            kind: FailureKind::Retryable,
            error_type,
            source: source.into(),
        }
    }

    /// Creates a failure that redelivery cannot resolve. `error_type` becomes `error.type` on the
    /// span and must be one of few values.
    pub fn permanent(error_type: &'static str, source: impl Into<BoxError>) -> Self {
        Self {
            kind: FailureKind::Permanent,
            error_type,
            source: source.into(),
        }
    }

    /// Returns the kind of the failure.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// Returns the `error.type` of the failure.
    #[must_use]
    pub fn error_type(&self) -> &'static str {
        self.error_type
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let error_type = error_type_name::<E>();
        let source: BoxError = Box::new(error);
        match source.downcast::<serde_json::Error>() {
            Ok(error) => Self::retry(error_type, RedactedJsonError::from(*error)),
            Err(source) => Self::retry(error_type, source),
        }
    }
}

/// Returns the name of a type without its parameters, which can be very long.
fn error_type_name<E>() -> &'static str {
    let name = std::any::type_name::<E>();
    name.split_once('<').map_or(name, |(name, _)| name)
}

/// An error of `serde_json` without the values that its text contains, because the parsed text is
/// usually part of a message body.
#[derive(Debug, thiserror::Error)]
#[error("invalid JSON: {category} error at line {line} column {column}")]
struct RedactedJsonError {
    category: &'static str,
    line: usize,
    column: usize,
}

impl From<serde_json::Error> for RedactedJsonError {
    fn from(error: serde_json::Error) -> Self {
        use serde_json::error::Category;
        Self {
            category: match error.classify() {
                Category::Io => "input",
                Category::Syntax => "syntax",
                Category::Data => "data",
                Category::Eof => "end of input",
            },
            line: error.line(),
            column: error.column(),
        }
    }
}

/// Writes the source and its causes in one line.
impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        ErrorChain::new(self.source.as_ref()).fmt(formatter)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Failure")
            .field("kind", &self.kind)
            .field("error_type", &self.error_type)
            .field("source", &self.source)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn fails() -> Result<(), Failure> {
        Err(io::Error::other(io::Error::other("the cause")))?;
        Ok(())
    }

    #[test]
    fn an_error_becomes_a_retryable_failure_with_the_name_of_its_type() {
        let failure = fails().unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Retryable);
        assert_eq!(failure.error_type(), "std::io::error::Error");
        assert_eq!(failure.to_string(), "the cause");
    }

    #[test]
    fn a_json_error_does_not_repeat_values() {
        let parsed: Result<u8, _> = serde_json::from_str("\"ada@example.com\"");
        let failure = Failure::from(parsed.unwrap_err());
        assert_eq!(
            failure.to_string(),
            "invalid JSON: data error at line 1 column 17"
        );
        assert!(!format!("{failure:?}").contains("ada"));
    }

    #[test]
    fn the_name_of_a_generic_error_has_no_parameters() {
        #[derive(Debug, thiserror::Error)]
        #[error("generic")]
        struct Generic<T: fmt::Debug>(T);
        let failure = Failure::from(Generic(0_u8));
        assert!(
            failure.error_type().ends_with("Generic"),
            "{}",
            failure.error_type()
        );
    }
}
