//! The few pieces of the protobuf wire format that OTLP needs. Fields with their type's default
//! value are not written, except by the `_always` forms, which members of a `oneof` need.

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH_DELIMITED: u32 = 2;
const FIXED32: u32 = 5;

/// The longest tag and length in front of a message.
pub(super) const MAX_HEADER: usize = 16;
/// The largest length that takes one byte.
pub(super) const MAX_SHORT: usize = 0x7f;

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

/// How long a length-delimited field is in all.
pub(super) fn field_length(field: u32, length: usize) -> usize {
    varint_length((field << 3) as usize) + varint_length(length) + length
}

/// The tag of a length-delimited field in its one byte: fields above 15 have two.
pub(super) const fn short_tag(field: u32) -> u8 {
    assert!(field < 16);
    (field << 3 | LENGTH_DELIMITED) as u8
}

// The pieces of a field are inlined: callers name a constant field, so that its tag is a constant
// byte as well.
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

/// Bytes whose number is known beforehand, and below 128.
#[inline(always)]
pub(super) fn array<const N: usize>(out: &mut Vec<u8>, field: u32, value: [u8; N]) {
    const { assert!(N <= MAX_SHORT) };
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

/// A message whose length is known only once it is written. One byte is kept for the length, which
/// most messages here fit in; a longer one moves what was written, which is cheaper than measuring
/// everything first.
#[inline(always)]
pub(crate) fn nested<T>(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    tag(out, field, LENGTH_DELIMITED);
    let at = out.len();
    out.push(0);
    let written = write(out);
    let start = at + 1;
    let length = out.len() - start;
    if length <= MAX_SHORT {
        out[at] = length as u8;
    } else {
        write_long(out, at, length);
    }
    written
}

/// Makes room at `at` for a length that needs more than the one byte there.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_message_has_a_canonical_length_whatever_its_size() {
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
