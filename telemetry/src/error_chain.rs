//! Error messages that include their causes.

use std::error::Error;
use std::fmt;

/// Displays an error and its causes on one line, separated by colons.
///
/// ```
/// use baton_telemetry::ErrorChain;
///
/// # #[derive(Debug)]
/// # struct CannotConnect(std::io::Error);
/// # impl std::fmt::Display for CannotConnect {
/// #     fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
/// #         formatter.write_str("cannot connect")
/// #     }
/// # }
/// # impl std::error::Error for CannotConnect {
/// #     fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
/// #         Some(&self.0)
/// #     }
/// # }
/// let error = CannotConnect(std::io::Error::other("no route"));
/// assert_eq!(ErrorChain::new(&error).to_string(), "cannot connect: no route");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ErrorChain<'a>(&'a (dyn Error + 'a));

impl<'a> ErrorChain<'a> {
    /// Creates the chain that begins with `error`.
    pub fn new(error: &'a (dyn Error + 'a)) -> Self {
        Self(error)
    }

    // Not inlined, because each caller would have its own copy of the formatting code.
    #[inline(never)]
    pub(crate) fn to_text(self) -> String {
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
