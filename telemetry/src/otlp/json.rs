//! OTLP/JSON, converted from OTLP protobuf.
//!
//! Records are kept as protobuf for collectors, and written to stdout as JSON for people and tools.
//! One small loop is driven by tables of the messages' fields. It has no type per message,
//! allocates only when the output grows, and skips unknown fields of later versions.
//!
//! The format is that of the OTLP specification ("JSON Protobuf Encoding") on top of the proto3
//! JSON mapping: names in lower camel case, trace and span ids in hexadecimal, other bytes in
//! base64, 64-bit integers as strings, enumerations as numbers, and the doubles that JSON cannot
//! represent as the strings `NaN`, `Infinity` and `-Infinity`.

use self::messages::{FieldDescriptor, FieldKind, MessageDescriptor, Scalar, Shape};
use super::Signal;
use super::protobuf::{FieldReader, FieldValue, InvalidProtobuf};

mod messages;
#[cfg(feature = "replay")]
mod read;
mod text;

pub(crate) use messages::{RESOURCE_SPANS, SCOPE_SPANS, SPAN};
pub(crate) use text::{base64, escaped_length, string};

/// Maximum nesting depth of messages, the default of protobuf's own decoders.
const MAX_DEPTH: usize = 100;

/// Writes an `Export…ServiceRequest` as an object on one line, without a line break.
///
/// # Errors
///
/// Returns an error, and writes nothing, if the bytes are not that message.
pub(crate) fn request(
    out: &mut Vec<u8>,
    signal: Signal,
    request: &[u8],
) -> Result<(), InvalidProtobuf> {
    object(out, messages::request(signal), request)
}

/// Writes a message as an object. Writes nothing if it is malformed.
pub(crate) fn object(
    out: &mut Vec<u8>,
    message: &'static MessageDescriptor,
    bytes: &[u8],
) -> Result<(), InvalidProtobuf> {
    let start = out.len();
    let outcome = nested(out, message, bytes, 0);
    if outcome.is_err() {
        out.truncate(start);
    }
    outcome
}

/// Writes the fields of a message as members of an object whose braces and other members the caller
/// writes. Returns true if there are any.
pub(crate) fn members(
    out: &mut Vec<u8>,
    message: &'static MessageDescriptor,
    bytes: &[u8],
) -> Result<bool, InvalidProtobuf> {
    let start = out.len();
    let outcome = fields(out, message, bytes, 0);
    if outcome.is_err() {
        out.truncate(start);
    }
    outcome.map(|()| out.len() > start)
}

/// Converts an `Export…ServiceRequest` from OTLP/JSON to protobuf.
#[cfg(feature = "replay")]
pub(crate) fn read(signal: Signal, json: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    read::read(messages::request(signal), json)
}

fn nested(
    out: &mut Vec<u8>,
    message: &'static MessageDescriptor,
    bytes: &[u8],
    depth: usize,
) -> Result<(), InvalidProtobuf> {
    if depth >= MAX_DEPTH {
        return Err(InvalidProtobuf::TooDeep);
    }
    out.push(b'{');
    fields(out, message, bytes, depth)?;
    out.push(b'}');
    Ok(())
}

fn fields(
    out: &mut Vec<u8>,
    message: &'static MessageDescriptor,
    bytes: &[u8],
    depth: usize,
) -> Result<(), InvalidProtobuf> {
    let start = out.len();
    // Set of the written fields, one bit per index in the table.
    let mut seen = 0_u32;
    let mut list = None;
    for field in FieldReader::new(bytes) {
        let (number, raw) = field?;
        let Some((index, field)) = message.field(number) else {
            continue;
        };
        if list != Some(index) {
            close_list(out, &mut list);
            if seen & (1 << index) != 0 {
                return Err(InvalidProtobuf::Duplicate);
            }
            seen |= 1 << index;
            begin_field(out, field, start);
            if matches!(field.shape, Shape::Many(_)) {
                list = Some(index);
            }
        }
        match field.shape {
            Shape::One(kind) => value(out, kind, raw, depth)?,
            Shape::Many(kind) => elements(out, kind, raw, depth)?,
        }
    }
    close_list(out, &mut list);
    for (_, field) in message
        .required()
        .filter(|(index, _)| seen & (1 << index) == 0)
    {
        begin_field(out, field, start);
        out.extend_from_slice(match field.shape {
            Shape::One(_) => b"\"\"",
            Shape::Many(_) => b"]",
        });
    }
    Ok(())
}

/// Writes the name of a field and the opening bracket of a list. `start` is the position of the
/// object's first member.
fn begin_field(out: &mut Vec<u8>, field: &FieldDescriptor, start: usize) {
    if out.len() > start {
        out.push(b',');
    }
    out.extend_from_slice(field.key.as_bytes());
    if matches!(field.shape, Shape::Many(_)) {
        out.push(b'[');
    }
}

fn close_list(out: &mut Vec<u8>, list: &mut Option<usize>) {
    if list.take().is_some() {
        out.push(b']');
    }
}

/// Writes one element of a list, or several: numbers are usually packed into one field.
fn elements(
    out: &mut Vec<u8>,
    kind: FieldKind,
    raw: FieldValue<'_>,
    depth: usize,
) -> Result<(), InvalidProtobuf> {
    let (FieldKind::Scalar(scalar), FieldValue::Bytes(packed)) = (kind, raw) else {
        separate(out);
        return value(out, kind, raw, depth);
    };
    let mut reader = FieldReader::new(packed);
    while let Some(raw) = reader.next_packed(scalar.wire_type())? {
        separate(out);
        number(out, scalar, raw)?;
    }
    Ok(())
}

fn separate(out: &mut Vec<u8>) {
    if out.last() != Some(&b'[') {
        out.push(b',');
    }
}

fn value(
    out: &mut Vec<u8>,
    kind: FieldKind,
    raw: FieldValue<'_>,
    depth: usize,
) -> Result<(), InvalidProtobuf> {
    match (kind, raw) {
        (FieldKind::Scalar(scalar), raw) => return number(out, scalar, raw),
        (FieldKind::Message(message), FieldValue::Bytes(bytes)) => {
            return nested(out, message, bytes, depth + 1);
        }
        (FieldKind::Text, FieldValue::Bytes(bytes)) => {
            let text = str::from_utf8(bytes).map_err(|_| InvalidProtobuf::NotUtf8)?;
            string(out, text);
        }
        (FieldKind::Hex, FieldValue::Bytes(bytes)) => text::hex_string(out, bytes),
        (FieldKind::Base64, FieldValue::Bytes(bytes)) => text::base64_string(out, bytes),
        _ => return Err(InvalidProtobuf::WireType),
    }
    Ok(())
}

fn number(out: &mut Vec<u8>, scalar: Scalar, raw: FieldValue<'_>) -> Result<(), InvalidProtobuf> {
    match (scalar, raw) {
        (Scalar::Bool, FieldValue::Varint(value)) => {
            let text: &[u8] = if value == 0 { b"false" } else { b"true" };
            out.extend_from_slice(text);
        }
        (Scalar::Unsigned32, FieldValue::Varint(value)) => text::unsigned(out, value),
        // Negative numbers are sign-extended to 64 bits on the wire.
        (Scalar::Signed32, FieldValue::Varint(value)) => text::signed(out, value.cast_signed()),
        (Scalar::ZigZag32, FieldValue::Varint(value)) => {
            let value = (value >> 1).cast_signed() ^ -(value & 1).cast_signed();
            text::signed(out, value);
        }
        (Scalar::Fixed32, FieldValue::Fixed32(value)) => text::unsigned(out, u64::from(value)),
        (Scalar::Unsigned64, FieldValue::Varint(value))
        | (Scalar::Fixed64, FieldValue::Fixed64(value)) => {
            text::quoted(out, |out| text::unsigned(out, value));
        }
        (Scalar::Signed64, FieldValue::Varint(value))
        | (Scalar::SignedFixed64, FieldValue::Fixed64(value)) => {
            text::quoted(out, |out| text::signed(out, value.cast_signed()));
        }
        (Scalar::Double, FieldValue::Fixed64(bits)) => text::double(out, f64::from_bits(bits)),
        _ => return Err(InvalidProtobuf::WireType),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
