//! What of a record's trace context did not count, and why.

use super::Carrier;
use baton_telemetry::{InvalidTraceparent, InvalidXrayHeader};
use std::fmt;

/// Everything that was there and did not count, in the order in which it was tried. Never repeats what was there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct InvalidContext(Vec<(Carrier, Reason)>);

impl InvalidContext {
    pub(super) fn add(&mut self, carrier: Carrier, reason: Reason) {
        self.0.push((carrier, reason));
    }
}

/// `message attributes: traceparent has the wrong length; …`.
impl fmt::Display for InvalidContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (carrier, reason)) in self.0.iter().enumerate() {
            let separator = if number > 0 { "; " } else { "" };
            write!(formatter, "{separator}{}: {reason}", carrier.as_str())?;
        }
        Ok(())
    }
}

/// Why a part of a carrier did not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Reason {
    /// The named part is there without a text.
    #[error("{0} holds no text")]
    NoText(&'static str),
    #[error("{0} is given in several spellings, none of them in lower case")]
    Ambiguous(&'static str),
    #[error(transparent)]
    Traceparent(InvalidTraceparent),
    #[error("tracestate has a member that is not allowed, or too many")]
    Tracestate,
    #[error("baggage has no key with a value")]
    NoMembers,
    #[error(transparent)]
    Xray(InvalidXrayHeader),
}
