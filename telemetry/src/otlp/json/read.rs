//! OTLP protobuf, converted from OTLP/JSON with the same tables.
//!
//! Protobuf that was converted to JSON is restored exactly, including numbers that JSON cannot
//! represent, which types derived from the protocol's definition do not read.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::messages::{FieldDescriptor, FieldKind, MessageDescriptor, Scalar, Shape};
use crate::otlp::protobuf as wire;

/// Reads one object. Unknown members are ignored.
pub(crate) fn read(
    message: &'static MessageDescriptor,
    json: &[u8],
) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let fields = MessageVisitor {
        message,
        out: &mut out,
    };
    fields.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(out)
}

/// Reads the fields of a message.
struct MessageVisitor<'a> {
    message: &'static MessageDescriptor,
    out: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for MessageVisitor<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MessageVisitor<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            match self.message.field_by_name(&name) {
                Some(field) => map.next_value_seed(FieldVisitor {
                    field,
                    is_element: false,
                    out: self.out,
                })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Reads the value or the values of a field.
struct FieldVisitor<'a> {
    field: &'static FieldDescriptor,
    /// True for an element of a list.
    is_element: bool,
    out: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for FieldVisitor<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl FieldVisitor<'_> {
    fn kind<E: Error>(&self) -> Result<FieldKind, E> {
        match self.field.shape {
            Shape::One(kind) => Ok(kind),
            Shape::Many(kind) if self.is_element => Ok(kind),
            Shape::Many(_) => Err(E::custom(format_args!("expected {self}"))),
        }
    }

    fn scalar<E: Error>(&self) -> Result<Scalar, E> {
        match self.kind()? {
            FieldKind::Scalar(scalar) => Ok(scalar),
            _ => Err(E::custom(format_args!("expected {self}"))),
        }
    }

    fn integer<E: Error>(self, value: i128) -> Result<(), E> {
        let number = self.field.number;
        let out_of_range = |_| E::custom(format_args!("expected {self}, found {value}"));
        let signed = || i64::try_from(value).map_err(out_of_range);
        match self.scalar()? {
            Scalar::Bool => return Err(E::custom(format_args!("expected {self}, found {value}"))),
            Scalar::Unsigned32 | Scalar::Unsigned64 => {
                let value = u64::try_from(value).map_err(out_of_range)?;
                wire::varint_field(self.out, number, value);
            }
            Scalar::Signed32 | Scalar::Signed64 => {
                wire::varint_field(self.out, number, signed()?.cast_unsigned());
            }
            Scalar::ZigZag32 => {
                let value = signed()?;
                let zigzag = (value << 1 ^ value >> 63).cast_unsigned();
                wire::varint_field(self.out, number, zigzag);
            }
            Scalar::Fixed32 => {
                let value = u32::try_from(value).map_err(out_of_range)?;
                wire::fixed32_always(self.out, number, value);
            }
            Scalar::Fixed64 => {
                let value = u64::try_from(value).map_err(out_of_range)?;
                wire::fixed64_always(self.out, number, value);
            }
            Scalar::SignedFixed64 => {
                wire::fixed64_always(self.out, number, signed()?.cast_unsigned());
            }
            Scalar::Double => wire::fixed64_always(self.out, number, (value as f64).to_bits()),
        }
        Ok(())
    }
}

/// The expected form of the value, for errors.
impl fmt::Display for FieldVisitor<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, is_list) = match self.field.shape {
            Shape::One(kind) => (kind, false),
            Shape::Many(kind) => (kind, !self.is_element),
        };
        formatter.write_str(match (kind, is_list) {
            (_, true) => "a list",
            (FieldKind::Text, _) => "a string",
            (FieldKind::Hex, _) => "an id in hexadecimal",
            (FieldKind::Base64, _) => "a string in base64",
            (FieldKind::Scalar(Scalar::Bool), _) => "true or false",
            (FieldKind::Scalar(_), _) => "a number",
            (FieldKind::Message(_), _) => "an object",
        })?;
        write!(formatter, " as {}", self.field.name())
    }
}

impl<'de> Visitor<'de> for FieldVisitor<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }

    /// `null` is the default value, which is absent (proto3 JSON mapping).
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match self.scalar()? {
            Scalar::Bool => {
                wire::varint_field(self.out, self.field.number, u64::from(value));
                Ok(())
            }
            _ => Err(E::custom(format_args!("expected {self}, found {value}"))),
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.integer(i128::from(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.integer(i128::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        match self.scalar()? {
            Scalar::Double => {
                wire::fixed64_always(self.out, self.field.number, value.to_bits());
                Ok(())
            }
            _ => Err(E::custom(format_args!("expected {self}, found {value}"))),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let number = self.field.number;
        let invalid = || E::custom(format_args!("expected {self}, found another string"));
        let bytes = match self.kind()? {
            FieldKind::Text => Cow::Borrowed(text.as_bytes()),
            FieldKind::Hex => hex(text).ok_or_else(invalid)?.into(),
            FieldKind::Base64 => base64(text).ok_or_else(invalid)?.into(),
            FieldKind::Scalar(Scalar::Double) => {
                // The parser accepts the three words for numbers that JSON cannot represent.
                let value: f64 = text.parse().map_err(|_| invalid())?;
                wire::fixed64_always(self.out, number, value.to_bits());
                return Ok(());
            }
            FieldKind::Scalar(_) => {
                let value = text.parse().map_err(|_| invalid())?;
                return self.integer(value);
            }
            FieldKind::Message(_) => return Err(invalid()),
        };
        wire::bytes_always(self.out, number, &bytes);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let FieldKind::Message(message) = self.kind()? else {
            return Err(A::Error::custom(format_args!("expected {self}")));
        };
        wire::nested(self.out, self.field.number, |out| {
            MessageVisitor { message, out }.visit_map(map)
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if self.is_element || matches!(self.field.shape, Shape::One(_)) {
            return Err(A::Error::custom(format_args!("expected {self}")));
        }
        // Numbers are not packed into one field, because protobuf readers accept both forms.
        while list
            .next_element_seed(FieldVisitor {
                field: self.field,
                is_element: true,
                out: self.out,
            })?
            .is_some()
        {}
        Ok(())
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2).map(|pair| match *pair {
        [high, low] => Some((digit(high)? << 4 | digit(low)?) as u8),
        _ => None,
    });
    pairs.collect()
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let mut out = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        let mut bits = 0;
        for at in 0..4 {
            bits = bits << 6 | group.get(at).map_or(Some(0), |digit| sextet(*digit))?;
        }
        // Two, three and four digits are one, two and three bytes.
        let length = group.len().checked_sub(1).filter(|length| *length > 0)?;
        out.extend_from_slice(&bits.to_be_bytes()[1..=length]);
    }
    Some(out)
}

fn sextet(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        // Proto3 JSON readers accept both alphabets.
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}
