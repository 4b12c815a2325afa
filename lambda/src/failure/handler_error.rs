//! A failure that implements `std::error::Error`.

use std::error::Error as StdError;
use std::fmt;

use tower::BoxError;

use super::{Failure, chain, into_box};

/// A [`Failure`] that implements [`std::error::Error`].
///
/// `Failure` cannot implement the trait itself, because its conversion from all other errors would
/// then be ambiguous. This type carries a failure through code that requires an error: the layers
/// of a [consumer](crate::ConsumerBuilder::layer), `anyhow`, boxes, and sources of other errors.
///
/// ```
/// use baton_lambda::{Failure, FailureKind};
///
/// let error = Failure::permanent("no_file", "the file does not exist").into_error();
/// let error = anyhow::Error::from(error).context("cannot import the order");
/// let failure = Failure::from(error);
/// assert_eq!((failure.kind(), failure.error_type()), (FailureKind::Permanent, "no_file"));
/// assert_eq!(failure.to_string(), "cannot import the order: the file does not exist");
/// ```
pub struct HandlerError(pub(super) Failure);

impl HandlerError {
    pub(super) fn new(failure: Failure) -> Self {
        Self(failure)
    }

    /// Returns the failure.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        &self.0
    }
}

/// Writes the text of the failure's source, without its causes.
impl fmt::Display for HandlerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        chain::fmt_one(self.0.source.as_ref(), formatter)
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("HandlerError")
            .field(&self.0)
            .finish()
    }
}

/// The source of the error is the cause of the failure's source, because the text of that source is
/// already the text of the error.
impl StdError for HandlerError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.source()
    }
}

/// Methods that give the error of a `Result` its [class](crate::Class).
///
/// ```
/// use baton_lambda::{Failure, Message, ResultExt as _};
///
/// #[derive(serde::Deserialize)]
/// struct Import {
///     path: String,
/// }
///
/// async fn handle(message: Message<Import>) -> anyhow::Result<()> {
///     let text = std::fs::read_to_string(&message.body.path).permanent("no_file")?;
///     println!("{} bytes imported", text.len());
///     Ok(())
/// }
/// # use baton_lambda::testing::Batch;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let batch = Batch::standard("imports").message(serde_json::json!({"path": "/absent"}));
/// # let outcome = batch.run(handle).await;
/// # assert_eq!(outcome.spans()[0].attributes["error.type"], "no_file");
/// # }
/// ```
pub trait ResultExt<T>: sealed::Sealed {
    /// Marks the error as one that redelivery may resolve. `error_type` becomes `error.type` on the
    /// span and must be one of few values.
    ///
    /// # Errors
    ///
    /// Returns the error of the result, with the class.
    fn retry(self, error_type: &'static str) -> Result<T, HandlerError>;

    /// Marks the error as one that redelivery cannot resolve. `error_type` becomes `error.type` on
    /// the span and must be one of few values.
    ///
    /// # Errors
    ///
    /// Returns the error of the result, with the class.
    fn permanent(self, error_type: &'static str) -> Result<T, HandlerError>;
}

impl<T, E: Into<BoxError> + 'static> ResultExt<T> for Result<T, E> {
    fn retry(self, error_type: &'static str) -> Result<T, HandlerError> {
        self.map_err(|error| Failure::retry(error_type, into_box(error)).into_error())
    }

    fn permanent(self, error_type: &'static str) -> Result<T, HandlerError> {
        self.map_err(|error| Failure::permanent(error_type, into_box(error)).into_error())
    }
}

mod sealed {
    pub trait Sealed {}
    impl<T, E> Sealed for Result<T, E> {}
}
