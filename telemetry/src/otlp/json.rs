//! OTLP/JSON, written from OTLP protobuf.
//!
//! Records are kept as protobuf, because that is what collectors take; what is written to stdout is
//! JSON, because that is what people and tools read there. Tables of the messages' fields drive one
//! small loop: there are no types for each message, nothing is allocated but the output grows, and
//! a field of a later version is passed over.
//!
//! The form is that of the OTLP specification ("JSON Protobuf Encoding") on top of the proto3 JSON
//! mapping: names in lower camel case, trace and span ids in hexadecimal, other bytes in base64,
//! 64-bit integers as strings, enumerations as numbers, and of doubles those that JSON has no
//! number for as the strings `NaN`, `Infinity` and `-Infinity`.

use self::messages::{Field, Kind, Message, Scalar, Shape};
use super::Signal;
use super::protobuf::{FieldReader, FieldValue, Malformed};

mod messages;
#[cfg(feature = "replay")]
mod read;
mod text;

pub(crate) use messages::{RESOURCE_SPANS, SCOPE_SPANS, SPAN};
pub(crate) use text::{base64, escaped_length, string};

/// Messages may be nested so deeply: as deeply as protobuf's own decoders go by default.
const MAX_DEPTH: usize = 100;

/// Writes an `Export…ServiceRequest` as one object on one line, without a line break behind it.
///
/// # Errors
/// When the request is not protobuf, or not that message. Nothing is written then.
pub(crate) fn request(out: &mut Vec<u8>, signal: Signal, request: &[u8]) -> Result<(), Malformed> {
    object(out, messages::request(signal), request)
}

/// Writes a message as an object. Nothing is written where it is malformed.
pub(crate) fn object(
    out: &mut Vec<u8>,
    message: &'static Message,
    bytes: &[u8],
) -> Result<(), Malformed> {
    let start = out.len();
    let outcome = nested(out, message, bytes, 0);
    if outcome.is_err() {
        out.truncate(start);
    }
    outcome
}

/// Writes fields of a message as members of an object whose braces, and other members, are the
/// caller's. Says whether there were any.
pub(crate) fn members(
    out: &mut Vec<u8>,
    message: &'static Message,
    bytes: &[u8],
) -> Result<bool, Malformed> {
    let start = out.len();
    let outcome = fields(out, message, bytes, 0);
    if outcome.is_err() {
        out.truncate(start);
    }
    outcome.map(|()| out.len() > start)
}

/// Reads an `Export…ServiceRequest` back from OTLP/JSON.
#[cfg(feature = "replay")]
pub(crate) fn read(signal: Signal, json: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    read::read(messages::request(signal), json)
}

fn nested(
    out: &mut Vec<u8>,
    message: &'static Message,
    bytes: &[u8],
    depth: usize,
) -> Result<(), Malformed> {
    if depth >= MAX_DEPTH {
        return Err(Malformed::TooDeep);
    }
    out.push(b'{');
    fields(out, message, bytes, depth)?;
    out.push(b'}');
    Ok(())
}

fn fields(
    out: &mut Vec<u8>,
    message: &'static Message,
    bytes: &[u8],
    depth: usize,
) -> Result<(), Malformed> {
    let start = out.len();
    // One bit a field: where it is in the table.
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
                return Err(Malformed::Duplicate);
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

/// The name of a field, and what opens a list. `start` is where the object's members begin_field.
fn begin_field(out: &mut Vec<u8>, field: &Field, start: usize) {
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

/// One element of a list, or several: numbers are usually packed into one field.
fn elements(
    out: &mut Vec<u8>,
    kind: Kind,
    raw: FieldValue<'_>,
    depth: usize,
) -> Result<(), Malformed> {
    let (Kind::Scalar(scalar), FieldValue::Bytes(packed)) = (kind, raw) else {
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
    kind: Kind,
    raw: FieldValue<'_>,
    depth: usize,
) -> Result<(), Malformed> {
    match (kind, raw) {
        (Kind::Scalar(scalar), raw) => return number(out, scalar, raw),
        (Kind::Message(message), FieldValue::Bytes(bytes)) => {
            return nested(out, message, bytes, depth + 1);
        }
        (Kind::Text, FieldValue::Bytes(bytes)) => {
            let text = str::from_utf8(bytes).map_err(|_| Malformed::NotUtf8)?;
            string(out, text);
        }
        (Kind::Hex, FieldValue::Bytes(bytes)) => text::hex(out, bytes),
        (Kind::Base64, FieldValue::Bytes(bytes)) => text::base64_string(out, bytes),
        _ => return Err(Malformed::WireType),
    }
    Ok(())
}

fn number(out: &mut Vec<u8>, scalar: Scalar, raw: FieldValue<'_>) -> Result<(), Malformed> {
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
        _ => return Err(Malformed::WireType),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
