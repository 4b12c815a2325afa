//! The parts of the protobuf wire format that OTLP needs.
//!
//! A field with the default value of its type is not written, except by the functions whose name
//! ends with `_always`, which members of a `oneof` need.

// Wire types.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH_DELIMITED: u32 = 2;
const FIXED32: u32 = 5;

/// Maximum length of the tag and the length that precede a message.
pub(super) const MAX_HEADER: usize = 16;
/// Largest length that is encoded in one byte.
pub(super) const MAX_ONE_BYTE_LENGTH: usize = 0x7f;

pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_length(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Returns the length of a length-delimited field, including tag and length.
pub(super) fn field_length(field: u32, length: usize) -> usize {
    varint_length((field << 3) as usize) + varint_length(length) + length
}

/// Returns the tag of a length-delimited field with a number up to 15, which takes one byte.
pub(super) const fn short_tag(field: u32) -> u8 {
    assert!(field < 16);
    (field << 3 | LENGTH_DELIMITED) as u8
}

// The functions that write a field are inlined: with a constant field number, the tag becomes a
// constant byte.
#[inline(always)]
fn tag(out: &mut Vec<u8>, field: u32, wire_type: u32) {
    let tag = field << 3 | wire_type;
    if tag <= 0x7f {
        out.push(tag as u8);
    } else {
        varint(out, u64::from(tag));
    }
}

#[inline(always)]
pub(super) fn length_prefix(out: &mut Vec<u8>, field: u32, length: usize) {
    tag(out, field, LENGTH_DELIMITED);
    varint(out, length as u64);
}

#[inline(always)]
pub(crate) fn varint_field(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, VARINT);
    varint(out, value);
}

#[inline(always)]
pub(super) fn unsigned(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        varint_field(out, field, value);
    }
}

#[inline(always)]
pub(crate) fn fixed64_always(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

#[inline(always)]
pub(super) fn fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        fixed64_always(out, field, value);
    }
}

#[cfg(feature = "replay")]
pub(crate) fn fixed32_always(out: &mut Vec<u8>, field: u32, value: u32) {
    tag(out, field, FIXED32);
    out.extend_from_slice(&value.to_le_bytes());
}

#[inline(always)]
pub(super) fn fixed32(out: &mut Vec<u8>, field: u32, value: u32) {
    if value != 0 {
        tag(out, field, FIXED32);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// Writes an array of fewer than 128 bytes.
#[inline(always)]
pub(super) fn array<const N: usize>(out: &mut Vec<u8>, field: u32, value: [u8; N]) {
    const { assert!(N <= MAX_ONE_BYTE_LENGTH) };
    tag(out, field, LENGTH_DELIMITED);
    out.push(N as u8);
    out.extend_from_slice(&value);
}

#[inline(always)]
pub(crate) fn bytes_always(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    length_prefix(out, field, value.len());
    out.extend_from_slice(value);
}

#[inline(always)]
pub(super) fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    if !value.is_empty() {
        bytes_always(out, field, value);
    }
}

#[inline(always)]
pub(super) fn string(out: &mut Vec<u8>, field: u32, value: &str) {
    bytes(out, field, value.as_bytes());
}

/// Writes a message whose length is not known in advance. One byte is reserved for the length,
/// which is enough for most messages. A longer message is moved, which is cheaper than measuring
/// all messages first.
#[inline(always)]
pub(crate) fn nested<T>(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    tag(out, field, LENGTH_DELIMITED);
    let at = out.len();
    out.push(0);
    let written = write(out);
    let start = at + 1;
    let length = out.len() - start;
    if length <= MAX_ONE_BYTE_LENGTH {
        out[at] = length as u8;
    } else {
        write_long(out, at, length);
    }
    written
}

/// Writes a length that needs more than the one byte reserved at `at`.
fn write_long(out: &mut Vec<u8>, at: usize, length: usize) {
    let (start, end) = (at + 1, out.len());
    let extra = varint_length(length) - 1;
    out.resize(end + extra, 0);
    out.copy_within(start..end, start + extra);
    let mut rest = length;
    for byte in &mut out[at..at + extra] {
        *byte = rest as u8 | 0x80;
        rest >>= 7;
    }
    out[at + extra] = rest as u8;
}

/// The reason why bytes are not the expected message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidProtobuf {
    #[error("truncated protobuf field")]
    Truncated,
    #[error("protobuf number with more than 64 bits")]
    Overlong,
    #[error("protobuf field number 0 is invalid")]
    FieldNumber,
    #[error("unexpected protobuf wire type")]
    WireType,
    #[error("duplicate protobuf field")]
    Duplicate,
    #[error("protobuf string is not UTF-8")]
    NotUtf8,
    #[error("protobuf messages nested too deeply")]
    TooDeep,
}

/// Encoding of a field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireType {
    Varint,
    Fixed64,
    Bytes,
    Fixed32,
}

/// A field's value as encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldValue<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// Iterates over the fields of one message, by number and value.
#[derive(Debug, Clone)]
pub(crate) struct FieldReader<'a> {
    rest: &'a [u8],
}

impl<'a> FieldReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Reads the next of several values that are packed into one field.
    pub(crate) fn next_packed(
        &mut self,
        wire_type: WireType,
    ) -> Result<Option<FieldValue<'a>>, InvalidProtobuf> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.value(wire_type).map(Some)
    }

    // Not inlined: it would be compiled into each of the loops over fields.
    #[inline(never)]
    fn field(&mut self) -> Result<(u32, FieldValue<'a>), InvalidProtobuf> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| InvalidProtobuf::Overlong)?;
        if number == 0 {
            return Err(InvalidProtobuf::FieldNumber);
        }
        let wire_type = match (tag & 7) as u32 {
            VARINT => WireType::Varint,
            FIXED64 => WireType::Fixed64,
            LENGTH_DELIMITED => WireType::Bytes,
            FIXED32 => WireType::Fixed32,
            // Groups are deprecated, and no OTLP message uses them.
            _ => return Err(InvalidProtobuf::WireType),
        };
        Ok((number, self.value(wire_type)?))
    }

    fn value(&mut self, wire_type: WireType) -> Result<FieldValue<'a>, InvalidProtobuf> {
        Ok(match wire_type {
            WireType::Varint => FieldValue::Varint(self.varint()?),
            WireType::Fixed64 => FieldValue::Fixed64(u64::from_le_bytes(self.array()?)),
            WireType::Fixed32 => FieldValue::Fixed32(u32::from_le_bytes(self.array()?)),
            WireType::Bytes => {
                let length =
                    usize::try_from(self.varint()?).map_err(|_| InvalidProtobuf::Overlong)?;
                let split = self.rest.split_at_checked(length);
                let (bytes, rest) = split.ok_or(InvalidProtobuf::Truncated)?;
                self.rest = rest;
                FieldValue::Bytes(bytes)
            }
        })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], InvalidProtobuf> {
        let (bytes, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(InvalidProtobuf::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn varint(&mut self) -> Result<u64, InvalidProtobuf> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or(InvalidProtobuf::Truncated)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte <= 0x7f {
                return Ok(value);
            }
        }
        Err(InvalidProtobuf::Overlong)
    }
}

impl<'a> Iterator for FieldReader<'a> {
    type Item = Result<(u32, FieldValue<'a>), InvalidProtobuf>;

    /// Returns `None` after an error, because the start of the next field is not known.
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        Some(self.field().inspect_err(|_| self.rest = &[]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_message_of_any_size_has_a_canonical_length() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
            let mut out = Vec::new();
            nested(&mut out, 1, |out| out.resize(out.len() + length, 7));
            let mut expected = Vec::new();
            length_prefix(&mut expected, 1, length);
            assert_eq!(out[..expected.len()], expected, "{length}");
            assert_eq!(out.len(), expected.len() + length);
            assert!(out[expected.len()..].iter().all(|byte| *byte == 7));
        }
    }
}
