//! How a handler says that it did not finish a message.

use std::error::Error as StdError;
use std::fmt;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Whether handling the same message again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It can: a dependency was busy, a connection broke, the time was up.
    Retryable,
    /// It cannot: the message itself is wrong. SQS delivers it until its dead-letter queue takes it, as any other failed message.
    Permanent,
}

/// Why a message was not handled.
///
/// Any error turns into a retryable failure with `?`, named by its type. `Failure` is no [`std::error::Error`] itself: that would make
/// the conversion ambiguous.
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
/// The text of the source goes to the span and to the log: it must hold neither a message body nor personal data.
pub struct Failure {
    retry: Retry,
    error_type: &'static str,
    source: BoxError,
}

impl Failure {
    /// A failure that may pass. `error_type` becomes `error.type` on the span: one of few values, such as `timeout`.
    pub fn retry(error_type: &'static str, source: impl Into<BoxError>) -> Self {
        Self {
            retry: Retry::Retryable,
            error_type,
            source: source.into(),
        }
    }

    /// A failure that no further delivery will change. `error_type` becomes `error.type` on the span.
    pub fn permanent(error_type: &'static str, source: impl Into<BoxError>) -> Self {
        Self {
            retry: Retry::Permanent,
            error_type,
            source: source.into(),
        }
    }

    /// Whether another delivery can help.
    #[must_use]
    pub fn kind(&self) -> Retry {
        self.retry
    }

    /// The stable name of what went wrong.
    #[must_use]
    pub fn error_type(&self) -> &'static str {
        self.error_type
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::retry(std::any::type_name::<E>(), error)
    }
}

/// The source and its causes, in one line.
impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.source)?;
        let causes = std::iter::successors(self.source.source(), |error| (*error).source());
        for cause in causes {
            write!(formatter, ": {cause}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Failure")
            .field("retry", &self.retry)
            .field("error_type", &self.error_type)
            .field("source", &self.source)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn fails() -> Result<(), Failure> {
        Err(io::Error::other(io::Error::other("the cause")))?;
        Ok(())
    }

    #[test]
    fn an_error_becomes_a_retryable_failure_named_by_its_type() {
        let failure = fails().unwrap_err();
        assert_eq!(failure.kind(), Retry::Retryable);
        assert_eq!(failure.error_type(), "std::io::error::Error");
        assert_eq!(failure.to_string(), "the cause");
    }
}
