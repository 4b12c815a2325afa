//! Walks over JSON that is known to be valid, without building anything.
//!
//! The payload of an invocation has been checked by `serde_json` when it became a `RawValue`; checking it again would be most of the cost
//! of reading it. What is walked over here is therefore trusted to be valid, but nothing depends on it for safety: on anything else the
//! walk ends early. Nothing here is recursive, because `serde_json` accepts a raw value of any depth.

use super::text::{MAX_LENGTH, Text};
use std::num::NonZeroU32;

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
    /// Of a text that is longer than positions can say, nothing is walked over; [`Batch::parse`](super::Batch::parse) refuses it.
    pub(super) fn new(json: &'a str, at: usize) -> Self {
        let json = if json.len() > MAX_LENGTH { "" } else { json };
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
        let (text, end) = Text::after_quote(self.json, self.at + 1);
        self.at = end;
        text
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
