//! JSON strings and numbers.

use std::io::Write as _;

use crate::hex;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Number of digits of the largest 64-bit integer.
const MAX_DIGITS: usize = 20;

/// The character after the backslash for each byte of a string: 0 if the byte is not escaped, `u`
/// if it is written as a number.
const ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    let mut control = 0;
    while control < 0x20 {
        escapes[control] = b'u';
        control += 1;
    }
    escapes[0x08] = b'b';
    escapes[b'\t' as usize] = b't';
    escapes[b'\n' as usize] = b'n';
    escapes[0x0c] = b'f';
    escapes[b'\r' as usize] = b'r';
    escapes[b'"' as usize] = b'"';
    escapes[b'\\' as usize] = b'\\';
    escapes
};

/// Writes a string with its quotes.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut unescaped = 0;
    for (index, byte) in bytes.iter().enumerate() {
        let escape = ESCAPES[usize::from(*byte)];
        if escape != 0 {
            out.extend_from_slice(&bytes[unescaped..index]);
            unescaped = index + 1;
            put_escape(out, *byte, escape);
        }
    }
    out.extend_from_slice(&bytes[unescaped..]);
    out.push(b'"');
}

#[cold]
fn put_escape(out: &mut Vec<u8>, byte: u8, escape: u8) {
    out.extend_from_slice(&[b'\\', escape]);
    if escape == b'u' {
        out.extend_from_slice(b"00");
        hex::encode(out, &[byte]);
    }
}

/// Returns the length of a character in the output of [`string`].
pub(crate) fn escaped_length(character: char) -> usize {
    let length = character.len_utf8();
    match ESCAPES.get(character as usize) {
        Some(0) | None => length,
        Some(b'u') => 6,
        Some(_) => 2,
    }
}

pub(super) fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

pub(super) fn unsigned(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; MAX_DIGITS];
    let mut at = MAX_DIGITS;
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

pub(super) fn signed(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    unsigned(out, value.unsigned_abs());
}

pub(super) fn double(out: &mut Vec<u8>, value: f64) {
    match value {
        _ if value.is_nan() => out.extend_from_slice(b"\"NaN\""),
        f64::INFINITY => out.extend_from_slice(b"\"Infinity\""),
        f64::NEG_INFINITY => out.extend_from_slice(b"\"-Infinity\""),
        // `Debug` writes the shortest digits that represent the number exactly, with an exponent
        // instead of many zeros. Writing to a `Vec` cannot fail.
        finite => {
            let _ = write!(out, "{finite:?}");
        }
    }
}

pub(super) fn hex_string(out: &mut Vec<u8>, bytes: &[u8]) {
    quoted(out, |out| hex::encode(out, bytes));
}

pub(super) fn base64_string(out: &mut Vec<u8>, bytes: &[u8]) {
    quoted(out, |out| base64(out, bytes));
}

/// Writes bytes as padded base64 (RFC 4648, section 4).
pub(crate) fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    for group in bytes.chunks(3) {
        let byte = |at| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let mut digits = [18, 12, 6, 0].map(|shift| BASE64[(bits >> shift & 63) as usize]);
        // A group of one byte has two digits, and one of two bytes has three.
        digits[group.len() + 1..].fill(b'=');
        out.extend_from_slice(&digits);
    }
}
