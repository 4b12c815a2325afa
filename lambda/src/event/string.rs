//! Strings of a JSON document, by their positions.

use std::borrow::Cow;
use std::num::NonZeroU32;

/// Bit of a length that marks strings with escapes. The remaining bits suffice for 2 GiB, far more
/// than the 6 MB that Lambda accepts.
const ESCAPED: u32 = 1 << 31;
/// Maximum length of a document, so that each position and length fits.
pub(super) const MAX_LENGTH: usize = (ESCAPED - 1) as usize;

/// Position of a JSON string. This type and an `Option` of it have only eight bytes, because a
/// batch can have 10,000 records with several strings each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JsonString {
    /// Position of the first byte after the opening quote, and therefore never zero.
    start: NonZeroU32,
    length: u32,
}

impl JsonString {
    /// Finds the end of the string whose content begins at `start`. Returns the string and the
    /// position after its closing quote, or `None` if it is not valid JSON. Does not check for
    /// [control characters](Self::has_control_characters). The document must not be longer than
    /// `MAX_LENGTH`.
    pub(super) fn parse(json: &str, start: usize) -> Option<(Self, usize)> {
        let (end, is_escaped) = find_end(json.as_bytes(), start)?;
        let flag = if is_escaped { ESCAPED } else { 0 };
        // The casts do not truncate, because no position exceeds `MAX_LENGTH`.
        let length = end.saturating_sub(start) as u32 | flag;
        let start = NonZeroU32::new(start as u32)?;
        Some((Self { start, length }, end + 1))
    }

    /// Returns `true` if the string contains characters that JSON requires to be escaped (RFC 8259,
    /// section 7).
    pub(super) fn has_control_characters(self, json: &str) -> bool {
        has_control_characters(self.raw(json))
    }

    fn range(self) -> (usize, usize) {
        let start = self.start.get() as usize;
        (start, start + (self.length & !ESCAPED) as usize)
    }

    /// Returns the content of the string with its escapes.
    pub(super) fn raw(self, json: &str) -> &str {
        let (start, end) = self.range();
        json.get(start..end).unwrap_or_default()
    }

    /// Returns the content of the string if it has no escapes.
    pub(super) fn plain_text(self, json: &str) -> Option<&str> {
        (self.length & ESCAPED == 0).then(|| self.raw(json))
    }

    /// Decodes the string. Borrows it unless it has escapes. Returns `None` if an escape is half of
    /// a surrogate pair, which is valid JSON but not valid Unicode.
    pub(super) fn decode(self, json: &str) -> Option<Cow<'_, str>> {
        match self.plain_text(json) {
            Some(text) => Some(Cow::Borrowed(text)),
            None => self.unescape(json).map(Cow::Owned),
        }
    }

    fn unescape(self, json: &str) -> Option<String> {
        unescape_simple(self.raw(json)).or_else(|| {
            let (start, end) = self.range();
            serde_json::from_str(json.get(start - 1..end + 1)?).ok()
        })
    }
}

/// Decodes a string without `\u` escapes, and returns `None` for other strings. A body that
/// contains JSON has many `\"`, and this loop decodes them faster than `serde_json`, which decodes
/// the rest.
fn unescape_simple(raw: &str) -> Option<String> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    // What is found is always a backslash: an escaped quote is skipped together with its backslash,
    // and any other quote would have ended the string.
    while let Some(at) = find_special(rest.as_bytes()) {
        let meant = match rest.as_bytes().get(at + 1)? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            _ => return None,
        };
        text.push_str(rest.get(..at)?);
        text.push(meant);
        rest = rest.get(at + 2..)?;
    }
    text.push_str(rest);
    Some(text)
}

/// Returns `true` if the text contains a character that JSON requires to be escaped, other than a
/// quote or a backslash.
pub(super) fn has_control_characters(text: &str) -> bool {
    // Visits all bytes. A loop that returned early would not be vectorised.
    text.bytes().fold(false, |any, byte| any | (byte < b' '))
}

/// Returns the position of the closing quote, and whether the string has escapes. Returns `None` if
/// the string does not end or an escape is invalid (RFC 8259, section 7).
fn find_end(json: &[u8], start: usize) -> Option<(usize, bool)> {
    let mut at = start;
    let mut is_escaped = false;
    loop {
        at += find_special(json.get(at..)?)?;
        if json[at] == b'"' {
            return Some((at, is_escaped));
        }
        at += escape_length(&json[at..])?;
        is_escaped = true;
    }
}

/// Returns the length of the escape at the start of `bytes`, or `None` if it is invalid.
fn escape_length(bytes: &[u8]) -> Option<usize> {
    match bytes.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => {
            let digits = bytes.get(2..6)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(6)
        }
        _ => None,
    }
}

const WORD: usize = 8;
/// Bytes of two 128-bit registers, which the compiler compares with vector instructions.
const BLOCK: usize = 32;

/// Returns the position of the first quote or backslash.
///
/// Bodies are most of a payload, so this function dominates the cost of a scan. The first 16 bytes
/// are searched word by word, because names are short and escapes are close to each other. Longer
/// strings are searched in blocks, which have a higher fixed cost.
#[inline]
fn find_special(bytes: &[u8]) -> Option<usize> {
    // The search compares single bytes, which is safe because no byte of a longer UTF-8 character
    // equals an ASCII character.
    let Some((first, rest)) = bytes.split_first_chunk() else {
        return find_in_tail(bytes);
    };
    if let Some(found) = find_in_word(*first) {
        return Some(found);
    }
    let Some((second, rest)) = rest.split_first_chunk() else {
        return find_in_tail(rest).map(|found| WORD + found);
    };
    if let Some(found) = find_in_word(*second) {
        return Some(WORD + found);
    }
    find_special_in_blocks(rest).map(|found| 2 * WORD + found)
}

#[inline(never)]
fn find_special_in_blocks(bytes: &[u8]) -> Option<usize> {
    let (blocks, _) = bytes.as_chunks();
    let plain = blocks
        .iter()
        .take_while(|block| !has_special(block))
        .count()
        * BLOCK;
    let (words, rest) = bytes[plain..].as_chunks();
    for (index, word) in words.iter().enumerate() {
        if let Some(found) = find_in_word(*word) {
            return Some(plain + index * WORD + found);
        }
    }
    find_in_tail(rest).map(|found| plain + words.len() * WORD + found)
}

/// Returns `true` if the block contains a quote or a backslash. Visits all bytes, because a loop
/// that returned early would not be vectorised.
fn has_special(block: &[u8; BLOCK]) -> bool {
    block
        .iter()
        .fold(false, |any, byte| any | is_special(*byte))
}

/// Returns the position of the first quote or backslash in a word, with the bit tricks of
/// [`mark_zero_bytes`]: a byte is zero after the exclusive or if it has the value searched for.
fn find_in_word(word: [u8; WORD]) -> Option<usize> {
    // Little-endian on every platform, so that the first byte has the lowest bits. The lowest bit
    // of each mask is exact, and so is the lowest bit of both together.
    let word = u64::from_le_bytes(word);
    let hits = mark_zero_bytes(word ^ broadcast(b'"')) | mark_zero_bytes(word ^ broadcast(b'\\'));
    (hits != 0).then(|| hits.trailing_zeros() as usize / 8)
}

/// Searches the last bytes, fewer than a word.
fn find_in_tail(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| is_special(*byte))
}

/// Returns `true` for a quote or a backslash. Uses `|`, because `||` would compile to a branch.
const fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\')
}

/// Returns a word in which each byte is `byte`.
const fn broadcast(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; WORD])
}

/// Sets the high bit of the first byte that is zero, and no bit before it. Bits after it can be set
/// wrongly, because the subtraction borrows from the next byte. (The trick is `haszero` of "Bit
/// Twiddling Hacks".)
const fn mark_zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(broadcast(1)) & !word & broadcast(0x80)
}
