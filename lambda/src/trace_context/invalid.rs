//! Parts of a record's trace context that were ignored.

use std::fmt;

use baton_telemetry::{InvalidBaggage, InvalidTraceparent, InvalidTracestate, InvalidXrayHeader};

use super::CarrierKind;

/// Maximum number of fields that are written out. Senders control how many invalid fields a message
/// has, and the attribute must stay small. The first fields are those of the carriers that take
/// precedence.
const MAX_SHOWN: usize = 8;

/// All invalid fields, in the order in which they were read. Contains no values of the message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct InvalidContext(Vec<(CarrierKind, InvalidField)>);

impl InvalidContext {
    pub(super) fn add(&mut self, carrier: CarrierKind, reason: InvalidField) {
        self.0.push((carrier, reason));
    }
}

/// Writes a list such as `message attributes: traceparent has the wrong length; …`.
impl fmt::Display for InvalidContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (carrier, reason)) in self.0.iter().take(MAX_SHOWN).enumerate() {
            let separator = if number > 0 { "; " } else { "" };
            let prefix = carrier.prefix();
            // The text of each field begins with the field's name, so the prefix completes it.
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

/// A field of a carrier that was ignored, with the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidField {
    #[error("{0} is not a string")]
    NotText(&'static str),
    #[error("{0} appears in several spellings, none of them lowercase")]
    Ambiguous(&'static str),
    #[error(transparent)]
    Traceparent(InvalidTraceparent),
    #[error(transparent)]
    Tracestate(InvalidTracestate),
    #[error("tracestate without a traceparent")]
    TracestateAlone,
    #[error(transparent)]
    Baggage(InvalidBaggage),
    #[error(transparent)]
    Xray(InvalidXrayHeader),
}
