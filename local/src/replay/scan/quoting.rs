//! JSON that is quoted in other text: as a string in other JSON or as a field of CSV, at several
//! levels.

/// Limit on the levels of quoting, which allows for a spill line in a line of a container's log,
/// exported as JSON, in CSV.
const MAX_LEVELS: usize = 4;

/// A way of quoting text. The text ends with a quotation mark, and quotation marks in it are
/// escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoting {
    /// JSON string: a backslash precedes a quotation mark.
    Json,
    /// CSV field: a quotation mark is doubled.
    Csv,
}

/// Returns the levels of quoting, outermost first, from the quotation mark before a member's name:
/// `"` without quoting, `\"` in JSON, `""` in CSV, `\""` in JSON in CSV. Returns `None` if the text
/// does not end with such a quotation mark.
pub(super) fn detect(before: &[u8]) -> Option<Vec<Quoting>> {
    let mut mark = trailing_mark(before).to_vec();
    let mut levels = Vec::new();
    while mark != b"\"" {
        if mark.is_empty() || levels.len() == MAX_LEVELS {
            return None;
        }
        // A JSON string cannot contain two consecutive quotation marks, because the first one would
        // end it.
        let (level, skipped) = if mark.windows(2).any(|pair| pair == b"\"\"") {
            (Quoting::Csv, b'"')
        } else {
            (Quoting::Json, b'\\')
        };
        let mut inner = Vec::new();
        let mut bytes = mark.iter();
        while let Some(byte) = bytes.next() {
            let escaped = if *byte == skipped { bytes.next() } else { None };
            inner.push(*escaped.unwrap_or(byte));
        }
        if inner.len() == mark.len() {
            return None;
        }
        mark = inner;
        levels.push(level);
    }
    Some(levels)
}

/// Returns a quotation mark as it is escaped inside these levels of quoting, outermost first.
pub(super) fn quotation_mark(levels: &[Quoting]) -> Vec<u8> {
    levels.iter().rev().fold(b"\"".to_vec(), |mark, level| {
        let (escape, escaped): (u8, &[u8]) = match level {
            Quoting::Json => (b'\\', b"\"\\"),
            Quoting::Csv => (b'"', b"\""),
        };
        let bytes = mark.into_iter();
        let written = bytes.flat_map(|byte| {
            escaped
                .contains(&byte)
                .then_some(escape)
                .into_iter()
                .chain([byte])
        });
        written.collect()
    })
}

/// Returns the escaped quotation mark at the end of a text.
pub(super) fn trailing_mark(text: &[u8]) -> &[u8] {
    let is_mark = |byte: &&u8| matches!(byte, b'"' | b'\\');
    let length = text.iter().rev().take_while(is_mark).count();
    &text[text.len() - length..]
}

/// Result of reading a quoted object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ObjectResult {
    Complete {
        text: Vec<u8>,
        /// Length in the input, where the object is quoted.
        length: usize,
    },
    /// The input ends before the object.
    Unfinished,
    /// The object cannot be read: the quoted text ends before the object, a string in the object
    /// has a line break, or the object is too long.
    Broken,
}

/// Reads and unquotes the object at the start of `input`.
pub(super) fn read_object(input: &[u8], levels: &[Quoting], longest: usize) -> ObjectResult {
    let mut unquoter = Unquoter {
        input: input.iter(),
        levels: levels
            .iter()
            .map(|level| QuotingState::new(*level))
            .collect(),
    };
    let mut text = Vec::new();
    let (mut depth, mut is_string, mut is_escaped) = (0_usize, false, false);
    loop {
        let byte = match unquoter.next(levels.len()) {
            NextByte::Byte(byte) => byte,
            NextByte::Unfinished => return ObjectResult::Unfinished,
            NextByte::End => return ObjectResult::Broken,
        };
        // The line was split or folded inside a string, so more input cannot complete it.
        if is_string && byte == b'\n' {
            return ObjectResult::Broken;
        }
        text.push(byte);
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_string => is_escaped = true,
            b'"' => is_string = !is_string,
            b'{' | b'[' if !is_string => depth += 1,
            b'}' | b']' if !is_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            let length = input.len() - unquoter.input.len();
            return ObjectResult::Complete { text, length };
        }
        if text.len() > longest {
            return ObjectResult::Broken;
        }
    }
}

enum NextByte {
    Byte(u8),
    Unfinished,
    /// The end of the quoted text, or an invalid escape in it.
    End,
}

struct Unquoter<'a> {
    input: std::slice::Iter<'a, u8>,
    /// Levels of quoting, outermost first.
    levels: Vec<QuotingState>,
}

struct QuotingState {
    level: Quoting,
    /// Remaining bytes of a character that was escaped as a number, in reverse order.
    rest: Vec<u8>,
}

impl QuotingState {
    fn new(level: Quoting) -> Self {
        Self {
            level,
            rest: Vec::new(),
        }
    }
}

impl Unquoter<'_> {
    /// Returns the next byte inside the outermost `depth` levels of quoting.
    fn next(&mut self, depth: usize) -> NextByte {
        let Some(outer) = depth.checked_sub(1) else {
            return match self.input.next() {
                Some(byte) => NextByte::Byte(*byte),
                None => NextByte::Unfinished,
            };
        };
        if let Some(byte) = self.levels[outer].rest.pop() {
            return NextByte::Byte(byte);
        }
        match (self.levels[outer].level, self.next(outer)) {
            (Quoting::Csv, NextByte::Byte(b'"')) => match self.next(outer) {
                NextByte::Byte(b'"') => NextByte::Byte(b'"'),
                NextByte::Unfinished => NextByte::Unfinished,
                _ => NextByte::End,
            },
            (Quoting::Json, NextByte::Byte(b'"')) => NextByte::End,
            (Quoting::Json, NextByte::Byte(b'\\')) => self.escape(outer),
            (_, step) => step,
        }
    }

    fn escape(&mut self, outer: usize) -> NextByte {
        match self.next(outer) {
            NextByte::Byte(b'b') => NextByte::Byte(8),
            NextByte::Byte(b'f') => NextByte::Byte(12),
            NextByte::Byte(b'n') => NextByte::Byte(b'\n'),
            NextByte::Byte(b'r') => NextByte::Byte(b'\r'),
            NextByte::Byte(b't') => NextByte::Byte(b'\t'),
            NextByte::Byte(b'u') => self.unicode_escape(outer),
            NextByte::Byte(byte @ (b'"' | b'\\' | b'/')) => NextByte::Byte(byte),
            NextByte::Unfinished => NextByte::Unfinished,
            _ => NextByte::End,
        }
    }

    /// Decodes a character that is escaped as one or two UTF-16 code units.
    fn unicode_escape(&mut self, outer: usize) -> NextByte {
        let mut units = Vec::with_capacity(2);
        loop {
            match self.utf16_unit(outer) {
                Ok(unit) => units.push(unit),
                Err(step) => return step,
            }
            let is_high_surrogate = units.len() == 1 && matches!(units[0], 0xd800..=0xdbff);
            if !is_high_surrogate {
                break;
            }
            for expected in [b'\\', b'u'] {
                match self.next(outer) {
                    NextByte::Byte(byte) if byte == expected => {}
                    NextByte::Unfinished => return NextByte::Unfinished,
                    _ => return NextByte::End,
                }
            }
        }
        let character = char::decode_utf16(units).next().and_then(Result::ok);
        let Some(character) = character else {
            return NextByte::End;
        };
        let mut bytes = [0; 4];
        let bytes = character.encode_utf8(&mut bytes).as_bytes();
        self.levels[outer].rest.extend(bytes[1..].iter().rev());
        NextByte::Byte(bytes[0])
    }

    fn utf16_unit(&mut self, outer: usize) -> Result<u16, NextByte> {
        let mut unit = 0;
        for _ in 0..4 {
            match self.next(outer) {
                NextByte::Byte(byte) => {
                    let digit = char::from(byte).to_digit(16).ok_or(NextByte::End)?;
                    unit = unit << 4 | digit as u16;
                }
                other => return Err(other),
            }
        }
        Ok(unit)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quoted(text: &str, levels: &[Quoting]) -> String {
        levels.iter().rev().fold(text.to_owned(), |text, level| {
            let text = match level {
                Quoting::Json => serde_json::to_string(&text).unwrap(),
                Quoting::Csv => format!("\"{}\"", text.replace('"', "\"\"")),
            };
            format!("before {text}, behind")
        })
    }

    proptest! {
        #[test]
        fn quoted_objects_are_read(
            text in ".{0,40}",
            levels in proptest::collection::vec(prop_oneof![Just(Quoting::Json), Just(Quoting::Csv)], 0..4),
        ) {
            let inner = serde_json::json!({ "name": text }).to_string();
            let outer = quoted(&inner, &levels);
            let name = outer.find("name").unwrap();
            let found = super::detect(&outer.as_bytes()[..name]);
            prop_assert_eq!(found.as_deref(), Some(&*levels), "{}", outer);
            prop_assert_eq!(quotation_mark(&levels), trailing_mark(&outer.as_bytes()[..name]));
            let start = outer[..name].rfind('{').unwrap();
            let object = read_object(&outer.as_bytes()[start..], &levels, 4096);
            let end = outer.rfind('}').unwrap() + 1;
            let (text, length) = (inner.into_bytes(), end - start);
            prop_assert_eq!(object, ObjectResult::Complete { text, length });
        }

        #[test]
        fn no_input_causes_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
            let found = super::detect(&bytes).unwrap_or_default();
            for levels in [&found[..], &[Quoting::Json], &[Quoting::Csv, Quoting::Json]] {
                let _ = read_object(&bytes, levels, 50);
            }
        }
    }

    #[test]
    fn numeric_escapes_are_decoded() {
        let text = br#"{\"a\":\"\u003c\u00e9\ud83d\ude00\"}" rest"#;
        let object = read_object(text, &[Quoting::Json], 99);
        let expected = ObjectResult::Complete {
            text: "{\"a\":\"<é😀\"}".into(),
            length: text.len() - 6,
        };
        assert_eq!(object, expected);
    }

    #[test]
    fn broken_objects_are_distinguished_from_unfinished_ones() {
        assert_eq!(read_object(b"{\"a\":", &[], 99), ObjectResult::Unfinished);
        assert_eq!(
            read_object(b"{\\\"a\\\":\"", &[Quoting::Json], 99),
            ObjectResult::Broken
        );
        assert_eq!(
            read_object(b"{\"\"a\"\":\" ", &[Quoting::Csv], 99),
            ObjectResult::Broken
        );
        assert_eq!(
            read_object(b"{\"a\":\"b\nc\"}", &[], 99),
            ObjectResult::Broken
        );
        assert_eq!(read_object(b"{\n\"a\":", &[], 99), ObjectResult::Unfinished);
    }
}
