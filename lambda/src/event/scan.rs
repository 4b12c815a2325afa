//! Walks over JSON that is known to be valid, without building anything.
//!
//! The payload of an invocation has been checked by `serde_json` when it became a `RawValue`; checking it again would be most of the cost
//! of reading it. What is walked over here is therefore trusted to be valid, but nothing depends on it for safety: on anything else the
//! walk ends early. Nothing here is recursive, because `serde_json` accepts a raw value of any depth.

use std::borrow::Cow;
use std::num::NonZeroU32;

/// Set in a length when the text has escapes. What is left of the length, 2 GiB, is far above what Lambda can deliver.
const ESCAPED: u32 = 1 << 31;
/// No payload may be longer, so that every position and length fits.
pub(super) const MAX_LENGTH: usize = (ESCAPED - 1) as usize;

/// A JSON string's place: eight bytes, and so is an `Option` of it. In a batch of 10,000 every word counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text {
    /// Of the first byte after the quote, which is why it is never zero.
    start: NonZeroU32,
    length: u32,
}

impl Text {
    /// `None` where there is no room for the quote before it.
    fn new(start: usize, end: usize, is_escaped: bool) -> Option<Self> {
        let start = NonZeroU32::new(u32::try_from(start).ok()?)?;
        let length = u32::try_from(end).ok()?.checked_sub(start.get())?;
        let flag = if is_escaped { ESCAPED } else { 0 };
        Some(Self {
            start,
            length: length | flag,
        })
    }

    fn range(self) -> (usize, usize) {
        let start = self.start.get() as usize;
        (start, start + (self.length & !ESCAPED) as usize)
    }

    fn is_escaped(self) -> bool {
        self.length & ESCAPED != 0
    }

    /// What stands in the JSON, escapes and all.
    pub(super) fn raw(self, json: &str) -> &str {
        let (start, end) = self.range();
        json.get(start..end).unwrap_or_default()
    }

    /// The text as it stands in the JSON, if that is also what it means.
    pub(super) fn verbatim(self, json: &str) -> Option<&str> {
        let (start, end) = self.range();
        json.get(start..end).filter(|_| !self.is_escaped())
    }

    /// Borrowed unless there are escapes. `None` when they make no text: half of a surrogate pair is valid JSON and nothing else.
    pub(super) fn decode(self, json: &str) -> Option<Cow<'_, str>> {
        if let Some(text) = self.verbatim(json) {
            return Some(Cow::Borrowed(text));
        }
        let (start, end) = self.range();
        let quoted = json.get(start - 1..end + 1)?;
        serde_json::from_str(quoted).ok().map(Cow::Owned)
    }
}

/// What a JSON value is, by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    Text,
    Null,
    /// A number, or `true` or `false`.
    Other,
}

/// A position in a JSON document. Each method expects the value, key or item that its name says, and leaves what follows it next.
#[derive(Debug, Clone)]
pub(super) struct Scanner<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(json: &'a str, at: usize) -> Self {
        Self { json, at }
    }

    pub(super) fn json(&self) -> &'a str {
        self.json
    }

    /// Where the next value begins, if that is an object and not the whole document.
    pub(super) fn object_start(&mut self) -> Option<NonZeroU32> {
        if self.kind() != Kind::Object {
            return None;
        }
        NonZeroU32::new(u32::try_from(self.at).ok()?)
    }

    /// What the next value is; nothing is passed over but whitespace.
    pub(super) fn kind(&mut self) -> Kind {
        match self.next_byte() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::Text,
            Some(b'n') => Kind::Null,
            _ => Kind::Other,
        }
    }

    /// Goes inside the object or array that is next.
    pub(super) fn enter(&mut self) {
        self.at += 1;
    }

    /// Inside an object: the next key; its value is next then. `None` after the last, when the object is behind us.
    pub(super) fn key(&mut self) -> Option<Text> {
        if !self.item() {
            return None;
        }
        let key = self.text()?;
        if self.next_byte() == Some(b':') {
            self.at += 1;
        }
        Some(key)
    }

    /// Inside an array: whether there is another item, which is next then. `false` after the last, when the array is behind us.
    pub(super) fn item(&mut self) -> bool {
        let mut byte = self.next_byte();
        if byte == Some(b',') {
            self.at += 1;
            byte = self.next_byte();
        }
        match byte {
            None => false,
            Some(b'}' | b']') => {
                self.at += 1;
                false
            }
            Some(_) => true,
        }
    }

    /// The string that is next. `None`, and nothing is passed over, if it is none.
    pub(super) fn text(&mut self) -> Option<Text> {
        if self.next_byte() != Some(b'"') {
            return None;
        }
        let start = self.at + 1;
        let (end, is_escaped) = end_of_text(self.json.as_bytes(), start);
        self.at = (end + 1).min(self.json.len());
        Text::new(start, end, is_escaped)
    }

    /// Passes over the value that is next, whatever it is.
    pub(super) fn skip(&mut self) {
        match self.kind() {
            Kind::Text => {
                self.text();
            }
            Kind::Object | Kind::Array => self.skip_nested(),
            Kind::Null | Kind::Other => self.skip_literal(),
        }
    }

    /// The JSON of the value that is next.
    pub(super) fn raw(&mut self) -> &'a str {
        self.kind();
        let start = self.at;
        self.skip();
        self.json.get(start..self.at).unwrap_or_default()
    }

    fn skip_nested(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.byte() {
            match byte {
                b'"' => {
                    self.text();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                break;
            }
        }
    }

    fn skip_literal(&mut self) {
        while let Some(byte) = self.byte() {
            if matches!(byte, b',' | b'}' | b']') || is_whitespace(byte) {
                break;
            }
            self.at += 1;
        }
    }

    fn byte(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }

    fn next_byte(&mut self) -> Option<u8> {
        loop {
            let byte = self.byte()?;
            if !is_whitespace(byte) {
                return Some(byte);
            }
            self.at += 1;
        }
    }
}

fn is_whitespace(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\t' | b'\r')
}

/// Where the closing quote is, and whether there is a backslash before it.
fn end_of_text(json: &[u8], start: usize) -> (usize, bool) {
    let mut at = start;
    let mut is_escaped = false;
    while let Some(rest) = json.get(at..) {
        let Some(found) = quote_or_backslash(rest) else {
            break;
        };
        at += found;
        if json[at] == b'"' {
            return (at, is_escaped);
        }
        // The byte after a backslash is part of the escape, even if it is a quote.
        is_escaped = true;
        at += 2;
    }
    (json.len(), is_escaped)
}

/// Eight bytes at a time: bodies are most of a payload, and this is what it costs to pass over them.
fn quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let hits = zero_bytes(word ^ each(b'"')) | zero_bytes(word ^ each(b'\\'));
        if hits != 0 {
            return Some(index * 8 + hits.trailing_zeros() as usize / 8);
        }
    }
    let in_rest = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
    in_rest.map(|found| words.len() * 8 + found)
}

const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The high bit of every byte that is zero, up to the first of them; behind that one there may be bits too many.
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(each(1)) & !word & each(0x80)
}
