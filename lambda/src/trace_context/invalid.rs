//! What of a record's trace context did not count, and why.

use std::fmt;

use baton_telemetry::{InvalidBaggage, InvalidTraceparent, InvalidTracestate, InvalidXrayHeader};

use super::CarrierKind;

/// Reasons that are written out. Senders decide how many there are, several for each carrier, and a
/// span must not grow with them. The first ones come from the carriers that are asked first.
const MAX_SHOWN: usize = 8;

/// Everything that was there and did not count, in the order in which it was tried. Never repeats
/// what was there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct InvalidContext(Vec<(CarrierKind, InvalidField)>);

impl InvalidContext {
    pub(super) fn add(&mut self, carrier: CarrierKind, reason: InvalidField) {
        self.0.push((carrier, reason));
    }
}

/// `message attributes: traceparent has the wrong length; …`.
impl fmt::Display for InvalidContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (carrier, reason)) in self.0.iter().take(MAX_SHOWN).enumerate() {
            let separator = if number > 0 { "; " } else { "" };
            let prefix = carrier.prefix();
            // Each reason begins with the name of the field that was ignored.
            write!(
                formatter,
                "{separator}{}: {prefix}{reason}",
                carrier.as_str()
            )?;
        }
        match self.0.len().saturating_sub(MAX_SHOWN) {
            0 => Ok(()),
            more => write!(formatter, "; and {more} more"),
        }
    }
}

/// Why a part of a carrier did not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidField {
    /// The named part is there without a text.
    #[error("{0} holds no text")]
    NotText(&'static str),
    #[error("{0} is given in several spellings, none of them in lower case")]
    Ambiguous(&'static str),
    #[error(transparent)]
    Traceparent(InvalidTraceparent),
    #[error(transparent)]
    Tracestate(InvalidTracestate),
    /// Nothing says which trace it belongs to.
    #[error("tracestate came without a traceparent")]
    TracestateAlone,
    #[error(transparent)]
    Baggage(InvalidBaggage),
    #[error(transparent)]
    Xray(InvalidXrayHeader),
}
