//! A JSON scanner that does not build values.
//!
//! The document is scanned and validated in one pass, because a separate validation by `serde_json`
//! would be most of the cost. A syntax error ends the scan: from then on, the methods return the
//! same values as at the end of the document. The caller therefore needs no error handling at each
//! step, and checks [`Scanner::is_at_end`] once. No function is recursive, so that deeply nested
//! documents cannot overflow the stack.

use std::num::NonZeroU32;

use serde::de::IgnoredAny;

use super::string::{self, JsonString, MAX_LENGTH};

/// Kind of a JSON value, determined by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JsonKind {
    Object,
    Array,
    String,
    Null,
    /// A number, `true` or `false`.
    Other,
}

impl JsonKind {
    /// Returns the kind as a noun with its article, for error messages.
    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Null => "null",
            Self::Other => "a number or a boolean",
        }
    }
}

/// A position in a JSON document. Each method reads the element that it is named after and moves
/// past it.
#[derive(Debug, Clone)]
pub(super) struct Scanner<'a> {
    json: &'a str,
    /// Position of the next byte. Greater than the length of the document after a syntax error.
    at: usize,
    /// `true` after an object or array has been entered, until its first element is read. Before
    /// later elements, a comma is required.
    is_first: bool,
    /// `true` if strings must be checked for control characters, which are invalid in them.
    has_control_characters: bool,
}

impl<'a> Scanner<'a> {
    /// Creates a scanner at the start of a document. A document that is longer than `MAX_LENGTH`
    /// is treated as empty; [`SqsBatch::parse`](super::SqsBatch::parse) rejects it earlier.
    pub(super) fn new(json: &'a str) -> Self {
        let json = if json.len() > MAX_LENGTH { "" } else { json };
        Self {
            // Checked for the whole document with vector instructions. AWS sends JSON without line
            // breaks, so the strings of most events need no separate check.
            has_control_characters: string::has_control_characters(json),
            ..Self::from_position(json, 0)
        }
    }

    /// Creates a scanner at a value of a document that has been scanned and is valid.
    pub(super) fn from_position(json: &'a str, at: usize) -> Self {
        Self {
            json,
            at,
            is_first: false,
            has_control_characters: false,
        }
    }

    pub(super) fn json(&self) -> &'a str {
        self.json
    }

    /// Returns the position of the next value if it is an object inside the document.
    pub(super) fn object_start(&mut self) -> Option<NonZeroU32> {
        if self.peek_kind() != JsonKind::Object {
            return None;
        }
        NonZeroU32::new(u32::try_from(self.at).ok()?)
    }

    /// Returns the kind of the next value. Moves only over whitespace.
    pub(super) fn peek_kind(&mut self) -> JsonKind {
        match self.peek_byte() {
            Some(b'{') => JsonKind::Object,
            Some(b'[') => JsonKind::Array,
            Some(b'"') => JsonKind::String,
            Some(b'n') => JsonKind::Null,
            // This includes the end of the document and bytes that begin no value. `skip` rejects
            // both.
            _ => JsonKind::Other,
        }
    }

    /// Enters the next value, which must be an object or an array.
    pub(super) fn enter(&mut self) {
        self.at += 1;
        self.is_first = true;
    }

    /// Reads the next key of the current object and moves to its value. Returns `None` after the
    /// last value and moves past the object.
    pub(super) fn next_key(&mut self) -> Option<JsonString> {
        if !self.next_element(b'}') {
            return None;
        }
        match (self.read_string(), self.peek_byte()) {
            (Some(key), Some(b':')) => {
                self.at += 1;
                Some(key)
            }
            _ => {
                self.fail();
                None
            }
        }
    }

    /// Moves to the next item of the current array. Returns `false` after the last item and moves
    /// past the array.
    pub(super) fn next_item(&mut self) -> bool {
        self.next_element(b']')
    }

    /// Moves to the next element of the current object or array. Returns `false`, and moves over
    /// the bracket `close`, if there is none.
    fn next_element(&mut self, close: u8) -> bool {
        // One flag suffices for all levels. A value inside this object or array leaves it unset,
        // and what follows that value is never a first element.
        let is_first = std::mem::take(&mut self.is_first);
        match self.peek_byte() {
            Some(byte) if byte == close => {
                self.at += 1;
                false
            }
            Some(b',') if !is_first => {
                self.at += 1;
                let is_another = self.peek_byte().is_some_and(|byte| byte != close);
                if !is_another {
                    self.fail();
                }
                is_another
            }
            Some(_) if is_first => true,
            _ => {
                self.fail();
                false
            }
        }
    }

    /// Reads the next value if it is a string. Otherwise returns `None` and does not move.
    pub(super) fn read_string(&mut self) -> Option<JsonString> {
        if self.peek_byte() != Some(b'"') {
            return None;
        }
        match JsonString::parse(self.json, self.at + 1) {
            Some((text, end))
                if !self.has_control_characters || !text.has_control_characters(self.json) =>
            {
                self.at = end;
                Some(text)
            }
            _ => {
                self.fail();
                None
            }
        }
    }

    /// Skips the next value.
    pub(super) fn skip(&mut self) {
        match self.peek_kind() {
            JsonKind::String => {
                self.read_string();
            }
            JsonKind::Object | JsonKind::Array => self.skip_nested(),
            JsonKind::Null | JsonKind::Other => self.skip_literal(),
        }
    }

    /// Skips the next value and returns its JSON.
    pub(super) fn read_raw(&mut self) -> &'a str {
        self.peek_kind();
        let start = self.at;
        self.skip();
        // After a syntax error `at` is beyond the document, where indexing would panic.
        self.json.get(start..self.at).unwrap_or_default()
    }

    /// Returns `true` if the document ends here and is valid.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.peek_byte().is_none() && !self.has_failed()
    }

    /// Returns `true` if a syntax error was found.
    pub(super) fn has_failed(&self) -> bool {
        self.at > self.json.len()
    }

    /// Moves past the end of the document, so that all further reads find nothing.
    fn fail(&mut self) {
        self.at = self.json.len() + 1;
    }

    /// Skips an object or array. In events from AWS these are only empty lists, two for each
    /// message attribute. All others are left to `serde_json`, which tracks their depth without
    /// recursion.
    fn skip_nested(&mut self) {
        let rest = self.json.get(self.at..).unwrap_or_default();
        if rest.starts_with("[]") || rest.starts_with("{}") {
            self.at += 2;
            return;
        }
        // A stream stops after the first value and knows where it ended. `serde_json::from_str`
        // would reject the text that follows.
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        match values.next() {
            Some(Ok(_)) => self.at += values.byte_offset(),
            _ => self.fail(),
        }
    }

    fn skip_literal(&mut self) {
        let rest = self.json.get(self.at..).unwrap_or_default();
        let ends = |byte: u8| matches!(byte, b',' | b'}' | b']') || is_whitespace(byte);
        let length = rest.bytes().position(ends).unwrap_or(rest.len());
        let literal = &rest[..length];
        let is_json = matches!(literal, "null" | "true" | "false")
            || serde_json::from_str::<IgnoredAny>(literal).is_ok();
        if is_json {
            self.at += length;
        } else {
            self.fail();
        }
    }

    fn current_byte(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }

    /// Moves over whitespace and returns the next byte without moving over it.
    fn peek_byte(&mut self) -> Option<u8> {
        loop {
            let byte = self.current_byte()?;
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
