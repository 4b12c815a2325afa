//! A string of a JSON document: where it is, and what it says.

use std::borrow::Cow;
use std::num::NonZeroU32;

/// Set in a length when the text has escapes. What is left of the length, 2 GiB, is far above what
/// Lambda can deliver.
const ESCAPED: u32 = 1 << 31;
/// No document may be longer, so that every position and length fits.
pub(super) const MAX_LENGTH: usize = (ESCAPED - 1) as usize;

/// A JSON string's place: eight bytes, and so is an `Option` of it. In a batch of 10,000 every word
/// counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JsonString {
    /// Of the first byte after the quote, which is why it is never zero.
    start: NonZeroU32,
    length: u32,
}

impl JsonString {
    /// The string whose first quote is before `start`, and where its last quote is behind us.
    /// `None` if it is no JSON, but for [control characters](Self::has_controls). The document must
    /// not be longer than `MAX_LENGTH`.
    pub(super) fn parse(json: &str, start: usize) -> Option<(Self, usize)> {
        let (end, is_escaped) = find_end(json.as_bytes(), start)?;
        let flag = if is_escaped { ESCAPED } else { 0 };
        // Both fit: no position is behind the end of the document.
        let length = end.saturating_sub(start) as u32 | flag;
        let start = NonZeroU32::new(start as u32)?;
        Some((Self { start, length }, end + 1))
    }

    /// Whether there are characters in it that JSON has only as escapes (RFC 8259, section 7).
    pub(super) fn has_control_characters(self, json: &str) -> bool {
        has_control_characters(self.raw(json))
    }

    fn range(self) -> (usize, usize) {
        let start = self.start.get() as usize;
        (start, start + (self.length & !ESCAPED) as usize)
    }

    /// What stands in the JSON, escapes and all.
    pub(super) fn raw(self, json: &str) -> &str {
        let (start, end) = self.range();
        json.get(start..end).unwrap_or_default()
    }

    /// The text as it stands in the JSON, if that is also what it means.
    pub(super) fn plain_text(self, json: &str) -> Option<&str> {
        (self.length & ESCAPED == 0).then(|| self.raw(json))
    }

    /// Borrowed unless there are escapes. `None` when they make no text: half of a surrogate pair
    /// is valid JSON and nothing else.
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

/// A body that is JSON is full of `\"`: this is most of the cost of decoding it. `None` when there
/// is an escape by number, which few encoders write and `serde_json` reads better.
fn unescape_simple(raw: &str) -> Option<String> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
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

/// Whether there is a character below the first that may stand in a string as it is.
pub(super) fn has_control_characters(text: &str) -> bool {
    // Without a way out of the loop, so that it becomes a few wide instructions.
    text.bytes().fold(false, |any, byte| any | (byte < b' '))
}

/// Where the closing quote is, and whether there is a backslash before it. `None` if there is none,
/// or an escape before it that JSON does not have (RFC 8259, section 7).
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

/// Of the escape that begins with a backslash.
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
/// Two registers of 128 bits, which the compiler compares at once.
const BLOCK: usize = 32;

/// Many bytes at a time: bodies are most of a payload, and this is what it costs to pass over them.
/// The first words are looked at by themselves: names and escapes are near, and larger steps pay
/// only where the end is not.
#[inline]
fn find_special(bytes: &[u8]) -> Option<usize> {
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

/// Without a way out of the loop, so that it becomes a few wide instructions.
fn has_special(block: &[u8; BLOCK]) -> bool {
    block
        .iter()
        .fold(false, |any, byte| any | is_special(*byte))
}

fn find_in_word(word: [u8; WORD]) -> Option<usize> {
    let word = u64::from_le_bytes(word);
    let hits = mark_zero_bytes(word ^ broadcast(b'"')) | mark_zero_bytes(word ^ broadcast(b'\\'));
    (hits != 0).then(|| hits.trailing_zeros() as usize / 8)
}

/// Of fewer bytes than a word has.
fn find_in_tail(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| is_special(*byte))
}

/// Without short cuts, which would be branches.
const fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\')
}

const fn broadcast(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; WORD])
}

/// The high bit of every byte that is zero, up to the first of them; behind that one there may be
/// bits too many.
const fn mark_zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(broadcast(1)) & !word & broadcast(0x80)
}
