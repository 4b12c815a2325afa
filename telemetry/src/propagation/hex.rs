//! Lower-case hexadecimal, the one form of ids that W3C and X-Ray write.

/// Value of each byte as a digit. A table and no comparisons: this runs once per digit of every
/// record's context.
const DIGITS: [u8; 256] = digits();
/// Marks what is no digit. All its bits are set, so that it outlasts every `|`.
const NO_DIGIT: u8 = 0xff;

/// Reads exactly `N` bytes; `None` when anything is not a lower-case digit. `digits` has 2 × `N` of
/// them, or it does not count either.
pub(super) fn bytes<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    let mut combined = 0;
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let (high, low) = (DIGITS[usize::from(pair[0])], DIGITS[usize::from(pair[1])]);
        combined |= high | low;
        *byte = high << 4 | low;
    }
    (combined != NO_DIGIT).then_some(bytes)
}

const fn digits() -> [u8; 256] {
    let mut table = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < 16 {
        table[b"0123456789abcdef"[digit as usize] as usize] = digit;
        digit += 1;
    }
    table
}
