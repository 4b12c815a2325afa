//! JSON that stands in other text: as it is, as a string of other JSON, or as a field of CSV, and
//! these in each other.

/// The deepest wrapping that is looked into: a line in a line of a container's log, exported as
/// JSON, in a file of CSV.
const MAX_LAYERS: usize = 4;

/// One way of writing a text as a part of another, each of which ends the text with a quotation
/// mark and has its own way of writing one inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    /// A backslash before it.
    Json,
    /// Two of them.
    Csv,
}

/// How the quotation mark before a member's name was wrapped, from the outside: `"` not at all,
/// `\"` in JSON, `""` in CSV, `\""` in JSON in CSV. Nothing if it is no such mark.
pub(super) fn layers(before: &[u8]) -> Option<Vec<Layer>> {
    let mut mark = mark_before(before).to_vec();
    let mut layers = Vec::new();
    while mark != b"\"" {
        if mark.is_empty() || layers.len() == MAX_LAYERS {
            return None;
        }
        // In a JSON string no two quotation marks follow each other: the first would be its end.
        let layer = match mark.windows(2).any(|pair| pair == b"\"\"") {
            true => Layer::Csv,
            false => Layer::Json,
        };
        let skipped = match layer {
            Layer::Csv => b'"',
            Layer::Json => b'\\',
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
        layers.push(layer);
    }
    Some(layers)
}

/// Returns a quotation mark as it is escaped inside these layers, outermost first.
pub(super) fn mark(layers: &[Layer]) -> Vec<u8> {
    layers.iter().rev().fold(b"\"".to_vec(), |mark, layer| {
        let (escape, escaped): (u8, &[u8]) = match layer {
            Layer::Json => (b'\\', b"\"\\"),
            Layer::Csv => (b'"', b"\""),
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

/// A quotation mark at the end of a text, as it is wrapped.
pub(super) fn mark_before(text: &[u8]) -> &[u8] {
    let is_mark = |byte: &&u8| matches!(byte, b'"' | b'\\');
    let length = text.iter().rev().take_while(is_mark).count();
    &text[text.len() - length..]
}

/// The end of an object that was looked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Object {
    Whole {
        text: Vec<u8>,
        /// How long it is as it stands in the input.
        length: usize,
    },
    /// The input ends before the object does.
    Unfinished,
    /// The object cannot be read: the text around it ends first, a string in it has a line break,
    /// or it is too long.
    Cut,
}

/// Takes an object, with its text unwrapped, from where it begins.
pub(super) fn object(input: &[u8], layers: &[Layer], longest: usize) -> Object {
    let mut unwrapper = Unwrapper {
        input: input.iter(),
        layers: layers.iter().map(|layer| State::new(*layer)).collect(),
    };
    let mut text = Vec::new();
    let (mut depth, mut is_string, mut is_escaped) = (0_usize, false, false);
    loop {
        let byte = match unwrapper.next(layers.len()) {
            Step::Byte(byte) => byte,
            Step::Unfinished => return Object::Unfinished,
            Step::End => return Object::Cut,
        };
        // A line that was split or folded inside a string: nothing in the rest of the log makes it
        // JSON.
        if is_string && byte == b'\n' {
            return Object::Cut;
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
            let length = input.len() - unwrapper.input.len();
            return Object::Whole { text, length };
        }
        if text.len() > longest {
            return Object::Cut;
        }
    }
}

enum Step {
    Byte(u8),
    Unfinished,
    /// The text's own end, or something that cannot stand in it.
    End,
}

struct Unwrapper<'a> {
    input: std::slice::Iter<'a, u8>,
    /// From the outside.
    layers: Vec<State>,
}

struct State {
    layer: Layer,
    /// What is left of a character that was written as a number.
    rest: Vec<u8>,
}

impl State {
    fn new(layer: Layer) -> Self {
        Self {
            layer,
            rest: Vec::new(),
        }
    }
}

impl Unwrapper<'_> {
    /// The next byte inside of so many layers.
    fn next(&mut self, depth: usize) -> Step {
        let Some(outer) = depth.checked_sub(1) else {
            return match self.input.next() {
                Some(byte) => Step::Byte(*byte),
                None => Step::Unfinished,
            };
        };
        if let Some(byte) = self.layers[outer].rest.pop() {
            return Step::Byte(byte);
        }
        match (self.layers[outer].layer, self.next(outer)) {
            (Layer::Csv, Step::Byte(b'"')) => match self.next(outer) {
                Step::Byte(b'"') => Step::Byte(b'"'),
                Step::Unfinished => Step::Unfinished,
                _ => Step::End,
            },
            (Layer::Json, Step::Byte(b'"')) => Step::End,
            (Layer::Json, Step::Byte(b'\\')) => self.escaped(outer),
            (_, step) => step,
        }
    }

    fn escaped(&mut self, outer: usize) -> Step {
        match self.next(outer) {
            Step::Byte(b'b') => Step::Byte(8),
            Step::Byte(b'f') => Step::Byte(12),
            Step::Byte(b'n') => Step::Byte(b'\n'),
            Step::Byte(b'r') => Step::Byte(b'\r'),
            Step::Byte(b't') => Step::Byte(b'\t'),
            Step::Byte(b'u') => self.numbered(outer),
            Step::Byte(byte @ (b'"' | b'\\' | b'/')) => Step::Byte(byte),
            Step::Unfinished => Step::Unfinished,
            _ => Step::End,
        }
    }

    /// A character written as one or two numbers of UTF-16.
    fn numbered(&mut self, outer: usize) -> Step {
        let mut units = Vec::with_capacity(2);
        loop {
            match self.unit(outer) {
                Ok(unit) => units.push(unit),
                Err(step) => return step,
            }
            let is_half = units.len() == 1 && matches!(units[0], 0xd800..=0xdbff);
            if !is_half {
                break;
            }
            for expected in [b'\\', b'u'] {
                match self.next(outer) {
                    Step::Byte(byte) if byte == expected => {}
                    Step::Unfinished => return Step::Unfinished,
                    _ => return Step::End,
                }
            }
        }
        let character = char::decode_utf16(units).next().and_then(Result::ok);
        let Some(character) = character else {
            return Step::End;
        };
        let mut bytes = [0; 4];
        let bytes = character.encode_utf8(&mut bytes).as_bytes();
        self.layers[outer].rest.extend(bytes[1..].iter().rev());
        Step::Byte(bytes[0])
    }

    fn unit(&mut self, outer: usize) -> Result<u16, Step> {
        let mut unit = 0;
        for _ in 0..4 {
            match self.next(outer) {
                Step::Byte(byte) => {
                    let digit = char::from(byte).to_digit(16).ok_or(Step::End)?;
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

    fn wrapped(text: &str, layers: &[Layer]) -> String {
        layers.iter().rev().fold(text.to_owned(), |text, layer| {
            let text = match layer {
                Layer::Json => serde_json::to_string(&text).unwrap(),
                Layer::Csv => format!("\"{}\"", text.replace('"', "\"\"")),
            };
            format!("before {text}, behind")
        })
    }

    proptest! {
        #[test]
        fn what_is_wrapped_is_unwrapped(
            text in ".{0,40}",
            layers in proptest::collection::vec(prop_oneof![Just(Layer::Json), Just(Layer::Csv)], 0..4),
        ) {
            let inner = serde_json::json!({ "name": text }).to_string();
            let outer = wrapped(&inner, &layers);
            let name = outer.find("name").unwrap();
            let found = super::layers(&outer.as_bytes()[..name]);
            prop_assert_eq!(found.as_deref(), Some(&*layers), "{}", outer);
            prop_assert_eq!(mark(&layers), mark_before(&outer.as_bytes()[..name]));
            let start = outer[..name].rfind('{').unwrap();
            let object = object(&outer.as_bytes()[start..], &layers, 4096);
            let end = outer.rfind('}').unwrap() + 1;
            let (text, length) = (inner.into_bytes(), end - start);
            prop_assert_eq!(object, Object::Whole { text, length });
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
            let found = super::layers(&bytes).unwrap_or_default();
            for layers in [&found[..], &[Layer::Json], &[Layer::Csv, Layer::Json]] {
                let _ = object(&bytes, layers, 50);
            }
        }
    }

    #[test]
    fn characters_may_be_written_as_numbers() {
        let text = br#"{\"a\":\"\u003c\u00e9\ud83d\ude00\"}" rest"#;
        let object = object(text, &[Layer::Json], 99);
        let expected = Object::Whole {
            text: "{\"a\":\"<é😀\"}".into(),
            length: text.len() - 6,
        };
        assert_eq!(object, expected);
    }

    #[test]
    fn what_ends_too_early_is_told_from_what_is_not_all_there_yet() {
        assert_eq!(object(b"{\"a\":", &[], 99), Object::Unfinished);
        assert_eq!(object(b"{\\\"a\\\":\"", &[Layer::Json], 99), Object::Cut);
        assert_eq!(object(b"{\"\"a\"\":\" ", &[Layer::Csv], 99), Object::Cut);
        assert_eq!(object(b"{\"a\":\"b\nc\"}", &[], 99), Object::Cut);
        assert_eq!(object(b"{\n\"a\":", &[], 99), Object::Unfinished);
    }
}
