//! Errors of single requests, by kind.

use std::error::Error;
use std::io;

use baton_telemetry::ErrorChain;

/// Kind of the error of a request that got no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RequestErrorKind {
    /// The target's port is closed.
    Refused,
    /// The target reset the connection.
    Reset,
    /// The target closed the connection before a complete response.
    Closed,
    /// No complete response within the time limit.
    TimedOut,
    /// Any other error, such as one in name resolution or TLS.
    Other,
}

impl RequestErrorKind {
    /// Returns the name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Refused => "connection refused",
            Self::Reset => "connection reset",
            Self::Closed => "connection closed",
            Self::TimedOut => "timed out",
            Self::Other => "other",
        }
    }
}

/// Error of a request that got no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct RequestError {
    pub(crate) kind: RequestErrorKind,
    /// The error and its causes.
    pub(crate) text: String,
}

impl RequestError {
    pub(super) fn new(error: &(dyn Error + 'static)) -> Self {
        Self {
            kind: kind(error),
            text: ErrorChain::new(error).to_string(),
        }
    }

    pub(super) fn timed_out() -> Self {
        Self {
            kind: RequestErrorKind::TimedOut,
            text: "timed out".to_owned(),
        }
    }
}

/// Returns the kind of the first cause that has one.
fn kind(error: &(dyn Error + 'static)) -> RequestErrorKind {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && let Some(kind) = io_kind(error)
        {
            return kind;
        }
        if error
            .downcast_ref::<hyper::Error>()
            .is_some_and(|error| error.is_incomplete_message() || error.is_canceled())
        {
            return RequestErrorKind::Closed;
        }
        cause = error.source();
    }
    RequestErrorKind::Other
}

fn io_kind(error: &io::Error) -> Option<RequestErrorKind> {
    Some(match error.kind() {
        io::ErrorKind::ConnectionRefused => RequestErrorKind::Refused,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => RequestErrorKind::Reset,
        io::ErrorKind::UnexpectedEof => RequestErrorKind::Closed,
        io::ErrorKind::TimedOut => RequestErrorKind::TimedOut,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cause_with_a_kind_determines_the_kind() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot connect")]
        struct Outer(#[source] io::Error);
        let outer = RequestError::new(&Outer(io::ErrorKind::ConnectionRefused.into()));
        assert_eq!(outer.kind, RequestErrorKind::Refused);
        assert_eq!(outer.text, "cannot connect: connection refused");
        let reset = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(RequestError::new(&reset).kind, RequestErrorKind::Reset);
        let unknown = io::Error::other("no such host");
        let error = RequestError::new(&unknown);
        assert_eq!(error.kind, RequestErrorKind::Other);
        assert_eq!(error.text, "no such host");
    }
}
