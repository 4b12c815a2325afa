//! The chain of an error and its causes.

use std::error::Error as StdError;
use std::iter::successors;
use std::sync::Arc;
use std::{fmt, io};

/// Returns an error and its causes, the outermost first.
pub(super) fn errors<'a>(
    outermost: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    successors(Some(outermost), |error| {
        inner_error(*error).or(StdError::source(*error))
    })
}

/// Returns the error that an `io::Error` wraps, which its chain of sources omits.
fn inner_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    let inner = error.downcast_ref::<io::Error>()?.get_ref()?;
    Some(inner)
}

/// Writes the texts of an error and its causes on one line, separated by colons.
pub(super) fn fmt(
    outermost: &(dyn StdError + 'static),
    formatter: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    fmt_one(outermost, formatter)?;
    let mut causes = successors(outermost.source(), |error| StdError::source(*error));
    causes.try_for_each(|cause| {
        formatter.write_str(": ")?;
        fmt_one(cause, formatter)
    })
}

/// Writes the text of an error without that of its causes.
pub(super) fn fmt_one(
    error: &(dyn StdError + 'static),
    formatter: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    match json_error(error) {
        Some(json) => write!(formatter, "{}", RedactedJsonError::new(json)),
        None => write!(formatter, "{error}"),
    }
}

/// Returns the error of `serde_json` whose text is the text of `error`.
fn json_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a serde_json::Error> {
    find(error).or_else(|| json_error(inner_error(error)?))
}

/// Returns the error if it has the type `E`, or is a box or an `Arc` of it.
pub(super) fn find<'a, E: StdError + 'static>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a E> {
    let boxed = || error.downcast_ref::<Box<E>>().map(|error| &**error);
    let shared = || error.downcast_ref::<Arc<E>>().map(|error| &**error);
    error.downcast_ref().or_else(boxed).or_else(shared)
}

/// An error of `serde_json` without the values that its text contains, because the parsed text is
/// usually part of a message body.
struct RedactedJsonError {
    category: &'static str,
    line: usize,
    column: usize,
}

impl RedactedJsonError {
    fn new(error: &serde_json::Error) -> Self {
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

impl fmt::Display for RedactedJsonError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            category,
            line,
            column,
        } = self;
        write!(
            formatter,
            "invalid JSON: {category} error at line {line} column {column}"
        )
    }
}
