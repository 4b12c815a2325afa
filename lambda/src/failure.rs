//! The error that a handler returns.

use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::fmt;

use tower::BoxError;

use crate::message::BodyError;

mod chain;
mod class;
mod classifiers;
mod handler_error;

pub use class::{Class, FailureKind};
pub(crate) use classifiers::Classifiers;
pub use handler_error::{HandlerError, ResultExt};

/// `error.type` of an error whose type is not known (semantic conventions, `error.type`).
const OTHER: &str = "_OTHER";
/// `error.type` of messages whose body cannot be decoded.
const INVALID_BODY: &str = "invalid_body";

/// Error of a handler.
///
/// `?` converts every error that can be boxed: types that implement [`std::error::Error`],
/// `Box<dyn Error + Send + Sync>`, `anyhow::Error`, `eyre::Report`, `&str` and `String`. A handler
/// may also return such a type itself, as in `Result<(), anyhow::Error>`.
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
/// # Class
///
/// The [class](Class) of a failure is its [kind](FailureKind) and its `error.type`. It is the first
/// of these that applies:
///
/// 1. the class given with [`Failure::permanent`], [`Failure::retry`] or [`Failure::with_class`],
/// 2. the class of the outermost error in the chain of sources that has one: from [`.permanent(…)`
///    or `.retry(…)`](ResultExt) on a `Result`, or from a
///    [classifier](crate::ConsumerBuilder::classify) for its type,
/// 3. retryable, with the name of the error's type as `error.type`, or `_OTHER` for a box or a
///    string.
///
/// A classifier finds its error through the contexts of `anyhow` and `eyre`, in a `Box`, an
/// [`Arc`](std::sync::Arc) or an [`io::Error`](std::io::Error), and as the
/// [source](std::error::Error::source) of another error. It does not find an error that the chain
/// of sources omits:
///
/// - in a variant that is `#[error(transparent)]`: classify the outer type instead,
/// - in an `eyre::Report` without a context, because `eyre` then hides the type of the error,
/// - an error that is itself the context of an `anyhow::Error` or an `eyre::Report`.
///
/// # Text
///
/// The text of the source and of its causes is recorded in the span and in the log. It must contain
/// neither a message body nor personal data. Errors of `serde_json` contain values of the parsed
/// text. They are recorded without these values, except where their type is hidden:
///
/// - in a variant that is `#[error(transparent)]`: use `#[source]` with a text instead,
/// - in an `eyre::Report` without a context,
/// - in an `anyhow::Error` that is given to [`Failure::permanent`] or [`Failure::retry`]: use `?`
///   or [`.permanent(…)`](ResultExt::permanent) instead.
pub struct Failure {
    class: Class,
    /// True if the class was given, and is not the default for the type of the source.
    is_classified: bool,
    source: BoxError,
}

impl Failure {
    /// Creates a failure that redelivery may resolve. `error_type` becomes `error.type` on the span
    /// and must be one of few values, such as `timeout`.
    pub fn retry(error_type: &'static str, source: impl Into<BoxError>) -> Self {
        Self::with_class(Class::retry(error_type), source)
    }

    /// Creates a failure that redelivery cannot resolve. `error_type` becomes `error.type` on the
    /// span and must be one of few values.
    pub fn permanent(error_type: &'static str, source: impl Into<BoxError>) -> Self {
        Self::with_class(Class::permanent(error_type), source)
    }

    /// Creates a failure of this class.
    pub fn with_class(class: Class, source: impl Into<BoxError>) -> Self {
        Self {
            class,
            is_classified: true,
            source: source.into(),
        }
    }

    /// Returns the kind of the failure, without the classifiers of a consumer.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.class().kind()
    }

    /// Returns the `error.type` of the failure, without the classifiers of a consumer.
    #[must_use]
    pub fn error_type(&self) -> &'static str {
        self.class().error_type()
    }

    /// Returns the class of the failure, without the classifiers of a consumer, which apply when
    /// the handler has returned.
    #[must_use]
    pub fn class(&self) -> Class {
        self.classify(&Classifiers::default())
    }

    /// Returns the failure as a [`std::error::Error`], for code that requires one. `?` turns it
    /// back into the same failure.
    #[must_use]
    pub fn into_error(self) -> HandlerError {
        HandlerError::new(self)
    }

    /// Creates the failure of a message whose body cannot be decoded.
    pub(crate) fn from_invalid_body(error: BodyError) -> Self {
        Self::permanent(INVALID_BODY, error)
    }

    /// Returns the class of the failure in a consumer with these classifiers.
    pub(crate) fn classify(&self, classifiers: &Classifiers) -> Class {
        self.known_class(classifiers).unwrap_or(self.class)
    }

    /// Returns the class that was given to the failure or to an error in its chain.
    fn known_class(&self, classifiers: &Classifiers) -> Option<Class> {
        if self.is_classified {
            return Some(self.class);
        }
        chain::errors(self.source.as_ref()).find_map(|error| match chain::find(error) {
            Some(HandlerError(failure)) => failure.known_class(classifiers),
            None => classifiers.classify(error),
        })
    }
}

impl<E: Into<BoxError> + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let source = match into_box(error).downcast::<HandlerError>() {
            Ok(error) => return error.0,
            Err(source) => source,
        };
        Self {
            class: Class::retry(error_type_of::<E>()),
            is_classified: false,
            source,
        }
    }
}

/// Boxes an error so that its type can be found in the box.
fn into_box<E: Into<BoxError> + 'static>(error: E) -> BoxError {
    // The box of an `anyhow::Error` normally hides the type of the outermost error, so this type
    // needs another conversion. Specialisation is not stable; a downcast selects the type instead,
    // and the compiler removes the branch for all other types.
    let mut error = Some(error);
    if let Some(error) = (&mut error as &mut dyn Any).downcast_mut::<Option<anyhow::Error>>()
        && let Some(error) = error.take()
    {
        return error.reallocate_into_boxed_dyn_error_without_backtrace();
    }
    // Only the branch above takes the error.
    error.map_or_else(|| OTHER.into(), Into::into)
}

/// Returns the `error.type` of an unclassified error: the name of its type without parameters,
/// which can be very long.
fn error_type_of<E: 'static>() -> &'static str {
    let without_name = [
        TypeId::of::<BoxError>(),
        TypeId::of::<String>(),
        TypeId::of::<&'static str>(),
        TypeId::of::<Cow<'static, str>>(),
    ];
    if without_name.contains(&TypeId::of::<E>()) {
        return OTHER;
    }
    let name = std::any::type_name::<E>();
    name.split_once('<').map_or(name, |(name, _)| name)
}

/// Writes the source and its causes in one line.
impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        chain::fmt(self.source.as_ref(), formatter)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = self.class();
        formatter
            .debug_struct("Failure")
            .field("kind", &class.kind())
            .field("error_type", &class.error_type())
            .field("source", &self.to_string())
            .finish()
    }
}

#[cfg(test)]
mod tests;
