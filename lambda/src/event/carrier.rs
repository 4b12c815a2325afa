//! Where a W3C context stands in an event, or in what is inside a body.

use std::borrow::Cow;

use baton_telemetry::{BAGGAGE, TRACEPARENT, TRACESTATE};

use super::attributes::{Attribute, AttributeNames, enter_object, text_or_skip};
use super::scan::{Kind, Scanner};
use super::text::Text;

/// Prefix of the message attributes that `opentelemetry-instrumentation-boto3sqs` sent before its
/// version 0.34b0: `otel.traceparent`.
pub(crate) const OTEL_PREFIX: &str = "otel.";

/// One entry of a trace context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Entry {
    #[default]
    Absent,
    Text(Text),
    /// It is there and holds no text. That is not absent: somebody meant to say something.
    NoText,
    /// It is there in several spellings, none of which is the one in lower case.
    Ambiguous,
}

impl Entry {
    fn read_attribute(scanner: &mut Scanner<'_>, names: &AttributeNames) -> Self {
        let attribute = Attribute::read(scanner, names);
        match attribute.string_value {
            Some(text) => Self::Text(text),
            None if attribute.is_null => Self::Absent,
            None => Self::NoText,
        }
    }
}

/// The entries of an object that may hold a W3C context: one look at each name, and nothing is
/// built of the others.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Carrier {
    traceparent: Entry,
    tracestate: Entry,
    baggage: Entry,
}

/// Which names in lower case have been seen: other spellings do not count beside them, whatever the
/// order.
#[derive(Debug, Default)]
struct Exact([bool; 3]);

impl Carrier {
    /// Of message attributes: each value is an object, in which `names` has the texts.
    pub(super) fn read_attributes(scanner: &mut Scanner<'_>, names: &AttributeNames) -> Self {
        Self::read(scanner, carrier_name, |scanner| {
            Entry::read_attribute(scanner, names)
        })
    }

    /// Reads the message attributes whose names begin with [`OTEL_PREFIX`].
    pub(super) fn read_prefixed_attributes(
        scanner: &mut Scanner<'_>,
        names: &AttributeNames,
    ) -> Self {
        Self::read(scanner, prefixed_carrier_name, |scanner| {
            Entry::read_attribute(scanner, names)
        })
    }

    /// Of an object whose values are the texts.
    pub(super) fn read_fields(scanner: &mut Scanner<'_>) -> Self {
        Self::read(scanner, carrier_name, |scanner| match scanner.kind() {
            Kind::Null => {
                scanner.skip();
                Entry::Absent
            }
            _ => text_or_skip(scanner).map_or(Entry::NoText, Entry::Text),
        })
    }

    /// Reads an object. `find` recognises the names of the context's fields, and `value` reads the
    /// value of such a field.
    fn read(
        scanner: &mut Scanner<'_>,
        find: impl Fn(&str) -> Option<(usize, bool)>,
        value: impl Fn(&mut Scanner<'_>) -> Entry,
    ) -> Self {
        let mut carrier = Self::default();
        let mut exact = Exact::default();
        if !enter_object(scanner) {
            return carrier;
        }
        while let Some(key) = scanner.key() {
            let name = key.decode(scanner.json());
            match name.as_deref().and_then(&find) {
                Some((number, is_exact)) => {
                    let entry = value(scanner);
                    carrier.put(number, is_exact, entry, &mut exact);
                }
                None => scanner.skip(),
            }
        }
        carrier
    }

    /// What it says, with its texts decoded.
    pub(super) fn values(self, json: &str) -> TraceCarrier<'_> {
        let value = |entry| match entry {
            Entry::Absent => Value::Absent,
            Entry::Text(text) => text.decode(json).map_or(Value::NoText, Value::Text),
            Entry::NoText => Value::NoText,
            Entry::Ambiguous => Value::Ambiguous,
        };
        TraceCarrier {
            traceparent: value(self.traceparent),
            tracestate: value(self.tracestate),
            baggage: value(self.baggage),
        }
    }

    fn put(&mut self, number: usize, is_exact: bool, entry: Entry, exact: &mut Exact) {
        let slot = match number {
            0 => &mut self.traceparent,
            1 => &mut self.tracestate,
            _ => &mut self.baggage,
        };
        if is_exact {
            exact.0[number] = true;
            *slot = entry;
        } else if !exact.0[number] {
            *slot = match slot {
                Entry::Absent => entry,
                _ => Entry::Ambiguous,
            };
        }
    }
}

/// Which of the three names it is, and whether it is in lower case.
fn carrier_name(name: &str) -> Option<(usize, bool)> {
    let names = [TRACEPARENT, TRACESTATE, BAGGAGE];
    let number = names
        .iter()
        .position(|known| known.eq_ignore_ascii_case(name))?;
    Some((number, names[number] == name))
}

/// Returns the same for a name with the prefix [`OTEL_PREFIX`]. The prefix must be in lower case
/// too.
fn prefixed_carrier_name(name: &str) -> Option<(usize, bool)> {
    let (prefix, rest) = name.split_at_checked(OTEL_PREFIX.len())?;
    if !prefix.eq_ignore_ascii_case(OTEL_PREFIX) {
        return None;
    }
    let (number, is_exact) = carrier_name(rest)?;
    Some((number, is_exact && prefix == OTEL_PREFIX))
}

/// What a carrier says under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Absent,
    Text(Cow<'a, str>),
    /// It is there, and is no text.
    NoText,
    /// It is there in several spellings, none of which is the one in lower case.
    Ambiguous,
}

/// What a carrier says about the trace of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TraceCarrier<'a> {
    pub(crate) traceparent: Value<'a>,
    pub(crate) tracestate: Value<'a>,
    pub(crate) baggage: Value<'a>,
}
