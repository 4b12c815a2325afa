//! Error messages that include their causes.

use std::error::Error;
use std::fmt;

/// Displays an error and its causes on one line, separated by colons.
pub(crate) struct ErrorChain<'a>(pub(crate) &'a (dyn Error + 'a));

impl ErrorChain<'_> {
    // Not inlined, because each caller would have its own copy of the formatting code.
    #[inline(never)]
    pub(crate) fn to_text(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut causes = std::iter::successors(self.0.source(), |error| Error::source(*error));
        causes.try_for_each(|cause| write!(formatter, ": {cause}"))
    }
}
