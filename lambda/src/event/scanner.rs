//! Walks over JSON without building anything, and notices where it is none.
//!
//! A document is looked at once: to have `serde_json` check it first would be most of the cost of
//! reading it. At the first byte that does not belong there the walk is over, for whoever is on it
//! as if the document had ended; [`Scanner::is_at_end`] tells afterwards. Nothing here is
//! recursive, so that no depth does harm.

use std::num::NonZeroU32;

use serde::de::IgnoredAny;

use super::string::{self, JsonString, MAX_LENGTH};

/// What a JSON value is, by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JsonKind {
    Object,
    Array,
    String,
    Null,
    /// A number, or `true` or `false`.
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

/// A position in a JSON document. Each method expects the value, key or item that its name says,
/// and leaves what follows it next.
#[derive(Debug, Clone)]
pub(super) struct Scanner<'a> {
    json: &'a str,
    /// Behind the end of the document when that is no JSON.
    at: usize,
    /// Whether nothing has been passed over yet in the object or array that has been entered last.
    is_first: bool,
    /// Whether strings have to be looked at for control characters, which are not JSON there.
    has_control_characters: bool,
}

impl<'a> Scanner<'a> {
    /// Of a text that is longer than positions can say, nothing is walked over;
    /// [`Batch::parse`](super::Batch::parse) refuses it.
    pub(super) fn new(json: &'a str) -> Self {
        let json = if json.len() > MAX_LENGTH { "" } else { json };
        Self {
            // Once for the whole document, because there the processor does it for many bytes at a
            // time; only JSON with line breaks has any.
            has_control_characters: string::has_control_characters(json),
            ..Self::from_position(json, 0)
        }
    }

    /// At a value of a document that has been walked over before.
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

    /// Where the next value begins, if that is an object and not the whole document.
    pub(super) fn object_start(&mut self) -> Option<NonZeroU32> {
        if self.peek_kind() != JsonKind::Object {
            return None;
        }
        NonZeroU32::new(u32::try_from(self.at).ok()?)
    }

    /// What the next value is; nothing is passed over but whitespace.
    pub(super) fn peek_kind(&mut self) -> JsonKind {
        match self.peek_byte() {
            Some(b'{') => JsonKind::Object,
            Some(b'[') => JsonKind::Array,
            Some(b'"') => JsonKind::String,
            Some(b'n') => JsonKind::Null,
            _ => JsonKind::Other,
        }
    }

    /// Goes inside the object or array that is next.
    pub(super) fn enter(&mut self) {
        self.at += 1;
        self.is_first = true;
    }

    /// Inside an object: the next key; its value is next then. `None` after the last, when the
    /// object is behind us.
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

    /// Inside an array: whether there is another item, which is next then. `false` after the last,
    /// when the array is behind us.
    pub(super) fn next_item(&mut self) -> bool {
        self.next_element(b']')
    }

    /// Whether something is left before the closing bracket. Passes over the comma before it, or
    /// over the bracket.
    fn next_element(&mut self, close: u8) -> bool {
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

    /// The string that is next. `None`, and nothing is passed over, if it is none.
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

    /// Passes over the value that is next, whatever it is.
    pub(super) fn skip(&mut self) {
        match self.peek_kind() {
            JsonKind::String => {
                self.read_string();
            }
            JsonKind::Object | JsonKind::Array => self.skip_nested(),
            JsonKind::Null | JsonKind::Other => self.skip_literal(),
        }
    }

    /// The JSON of the value that is next.
    pub(super) fn read_raw(&mut self) -> &'a str {
        self.peek_kind();
        let start = self.at;
        self.skip();
        self.json.get(start..self.at).unwrap_or_default()
    }

    /// Whether the document ends here, and has been JSON up to here.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.peek_byte().is_none() && !self.has_failed()
    }

    /// Whether there was something that is no JSON.
    pub(super) fn has_failed(&self) -> bool {
        self.at > self.json.len()
    }

    fn fail(&mut self) {
        self.at = self.json.len() + 1;
    }

    /// Of what AWS writes only empty lists come here, two for each message attribute.
    fn skip_nested(&mut self) {
        let rest = self.json.get(self.at..).unwrap_or_default();
        if rest.starts_with("[]") || rest.starts_with("{}") {
            self.at += 2;
            return;
        }
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
        match is_json {
            true => self.at += length,
            false => self.fail(),
        }
    }

    fn current_byte(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }

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
