//! Carriers of a W3C trace context: message attributes, and the fields of an event in a body.

use std::borrow::Cow;

use baton_telemetry::{BAGGAGE, TRACEPARENT, TRACESTATE};

use super::attributes::{AttributeFields, AttributeNames, enter_object, read_string_or_skip};
use super::scanner::{JsonKind, Scanner};
use super::string::JsonString;

/// Prefix of the message attributes that `opentelemetry-instrumentation-boto3sqs` sent before its
/// version 0.34b0: `otel.traceparent`.
pub(crate) const OTEL_PREFIX: &str = "otel.";

/// Position of one field of a trace context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum CarrierField {
    #[default]
    Absent,
    Text(JsonString),
    /// A value that is not a string. Differs from an absent field, because the sender meant to send
    /// a context.
    NotText,
    /// Several spellings of the name, none of them in lower case.
    Ambiguous,
}

impl CarrierField {
    fn read_attribute(scanner: &mut Scanner<'_>, names: &AttributeNames) -> Self {
        let attribute = AttributeFields::read(scanner, names);
        match attribute.string_value {
            Some(text) => Self::Text(text),
            None if attribute.is_null => Self::Absent,
            None => Self::NotText,
        }
    }
}

/// Positions of the trace context fields in an object. Other fields of the object are skipped
/// without decoding their values.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CarrierFields {
    traceparent: CarrierField,
    tracestate: CarrierField,
    baggage: CarrierField,
}

impl CarrierFields {
    /// Reads message attributes: an object whose values are objects with the fields `names`.
    pub(super) fn read_attributes(scanner: &mut Scanner<'_>, names: &AttributeNames) -> Self {
        Self::read(scanner, find_field, |scanner| {
            CarrierField::read_attribute(scanner, names)
        })
    }

    /// Reads the message attributes whose names begin with [`OTEL_PREFIX`].
    pub(super) fn read_prefixed_attributes(
        scanner: &mut Scanner<'_>,
        names: &AttributeNames,
    ) -> Self {
        Self::read(scanner, find_prefixed_field, |scanner| {
            CarrierField::read_attribute(scanner, names)
        })
    }

    /// Reads an object whose values are strings.
    pub(super) fn read_fields(scanner: &mut Scanner<'_>) -> Self {
        Self::read(scanner, find_field, |scanner| match scanner.peek_kind() {
            // Checked first, because `read_string_or_skip` returns `None` both for `null` and for a
            // number.
            JsonKind::Null => {
                scanner.skip();
                CarrierField::Absent
            }
            _ => read_string_or_skip(scanner).map_or(CarrierField::NotText, CarrierField::Text),
        })
    }

    /// Reads an object. `find` recognises the names of the context's fields, and `read_value` reads
    /// the value of such a field.
    fn read(
        scanner: &mut Scanner<'_>,
        find: impl Fn(&str) -> Option<(usize, bool)>,
        read_value: impl Fn(&mut Scanner<'_>) -> CarrierField,
    ) -> Self {
        let mut fields = Self::default();
        // Needed only during the scan and therefore not a part of `CarrierFields`, which a batch
        // stores for each record.
        let mut has_exact = [false; 3];
        if !enter_object(scanner) {
            return fields;
        }
        while let Some(key) = scanner.next_key() {
            let name = key.decode(scanner.json());
            match name.as_deref().and_then(&find) {
                Some((number, is_exact)) => {
                    let value = read_value(scanner);
                    fields.set(number, is_exact, value, &mut has_exact);
                }
                None => scanner.skip(),
            }
        }
        fields
    }

    /// Stores a value. The name in lower case takes precedence over other spellings, in any order;
    /// `has_exact` holds the fields that it has set. Of two other spellings, neither is used,
    /// because the carrier does not say which one the sender meant.
    fn set(
        &mut self,
        number: usize,
        is_exact: bool,
        value: CarrierField,
        has_exact: &mut [bool; 3],
    ) {
        let field = match number {
            0 => &mut self.traceparent,
            1 => &mut self.tracestate,
            _ => &mut self.baggage,
        };
        if is_exact {
            // If the exact name is repeated, the last value is used, as in any JSON object.
            has_exact[number] = true;
            *field = value;
        } else if !has_exact[number] {
            *field = match field {
                CarrierField::Absent => value,
                _ => CarrierField::Ambiguous,
            };
        }
    }

    /// Decodes the fields.
    pub(super) fn decode(self, json: &str) -> TraceCarrier<'_> {
        let decode = |field| match field {
            CarrierField::Absent => FieldValue::Absent,
            CarrierField::Text(text) => text
                .decode(json)
                .map_or(FieldValue::NotText, FieldValue::Text),
            CarrierField::NotText => FieldValue::NotText,
            CarrierField::Ambiguous => FieldValue::Ambiguous,
        };
        TraceCarrier {
            traceparent: decode(self.traceparent),
            tracestate: decode(self.tracestate),
            baggage: decode(self.baggage),
        }
    }
}

/// Returns the number of the field with this name in any case, and whether the name is in lower
/// case.
fn find_field(name: &str) -> Option<(usize, bool)> {
    let names = [TRACEPARENT, TRACESTATE, BAGGAGE];
    let number = names
        .iter()
        .position(|known| known.eq_ignore_ascii_case(name))?;
    Some((number, names[number] == name))
}

/// Returns the same for a name with the prefix [`OTEL_PREFIX`]. The prefix must be in lower case
/// too.
fn find_prefixed_field(name: &str) -> Option<(usize, bool)> {
    // `split_at` would panic on a name that is shorter than the prefix, or in which this position
    // is inside a character.
    let (prefix, rest) = name.split_at_checked(OTEL_PREFIX.len())?;
    if !prefix.eq_ignore_ascii_case(OTEL_PREFIX) {
        return None;
    }
    let (number, is_exact) = find_field(rest)?;
    Some((number, is_exact && prefix == OTEL_PREFIX))
}

/// Value of one field of a trace context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FieldValue<'a> {
    Absent,
    Text(Cow<'a, str>),
    /// A value that is not a string, or a string that is not valid Unicode.
    NotText,
    /// Several spellings of the name, none of them in lower case.
    Ambiguous,
}

/// Trace context in a carrier, not yet parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TraceCarrier<'a> {
    pub(crate) traceparent: FieldValue<'a>,
    pub(crate) tracestate: FieldValue<'a>,
    pub(crate) baggage: FieldValue<'a>,
}
