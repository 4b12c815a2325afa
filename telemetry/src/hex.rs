//! Lower-case hexadecimal: ids in propagation headers, log lines and OTLP/JSON.

const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// Value of each byte as a digit. A table instead of comparisons, because every digit of every
/// message's context is looked up.
const VALUES: [u8; 256] = values();
/// Marks a byte that is not a digit. All its bits are set, so that `|` preserves it.
const NO_DIGIT: u8 = 0xff;

/// Appends the two digits of each byte. Several times faster than the `Display` of an id.
pub(crate) fn encode(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(2 * bytes.len());
    for byte in bytes {
        let digits = [byte >> 4, byte & 0xf].map(|digit| DIGITS[usize::from(digit)]);
        out.extend_from_slice(&digits);
    }
}

/// Reads `N` bytes from 2 × `N` lower-case digits. Returns `None` for other lengths or characters.
pub(crate) fn decode<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    // Checked once at the end instead of per digit, because valid ids are the rule.
    let mut combined = 0;
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let (high, low) = (VALUES[usize::from(pair[0])], VALUES[usize::from(pair[1])]);
        combined |= high | low;
        *byte = high << 4 | low;
    }
    (combined != NO_DIGIT).then_some(bytes)
}

const fn values() -> [u8; 256] {
    let mut table = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < 16 {
        table[DIGITS[digit as usize] as usize] = digit;
        digit += 1;
    }
    table
}
