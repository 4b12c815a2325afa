//! The two maps of a record: what SQS says about the message, and what its sender attached.
//!
//! A map or a value in it that is not what it should be counts as absent: only telemetry and
//! curious handlers ask for them, and neither is a reason not to process a message.

use std::borrow::Cow;
use std::num::NonZeroU32;

use super::fields::Fields;
use super::scan::{Kind, Scanner};
use super::text::Text;

/// Goes into the object that is next; passes over anything else.
pub(super) fn enter_object(scanner: &mut Scanner<'_>) -> bool {
    let is_object = scanner.kind() == Kind::Object;
    if is_object {
        scanner.enter();
    } else {
        scanner.skip();
    }
    is_object
}

/// The string that is next; passes over anything else.
pub(super) fn text_or_skip(scanner: &mut Scanner<'_>) -> Option<Text> {
    let text = scanner.text();
    if text.is_none() {
        scanner.skip();
    }
    text
}

/// `attributes`: all of them strings, whatever they mean. As in any JSON object, the last of
/// several with one name counts.
pub(super) fn read_system(scanner: &mut Scanner<'_>, fields: &mut Fields) {
    if !enter_object(scanner) {
        return;
    }
    while let Some(key) = scanner.key() {
        let json = scanner.json();
        match key.decode(json).as_deref() {
            Some("ApproximateReceiveCount") => {
                fields.receive_count = number(json, text_or_skip(scanner));
            }
            Some("SentTimestamp") => fields.sent_timestamp = number(json, text_or_skip(scanner)),
            Some("MessageGroupId") => fields.group_id = text_or_skip(scanner),
            Some("AWSTraceHeader") => fields.trace_header = text_or_skip(scanner),
            _ => scanner.skip(),
        }
    }
}

fn number<T: std::str::FromStr>(json: &str, text: Option<Text>) -> Option<T> {
    text?.decode(json)?.parse().ok()
}

/// How the fields of an attribute are called: its text, its binary value and its type. They are
/// compared without regard to case, and the exact name wins: Lambda writes `stringValue`, the SQS
/// API `StringValue`, and both turn up in events that people make for tests.
#[derive(Debug, Clone, Copy)]
pub(super) struct AttributeNames {
    names: [&'static str; 3],
    /// `true` if the first name is also used for binary values, so that only the data type tells
    /// base64 from text.
    has_one_value: bool,
}

/// In `messageAttributes` of a record.
pub(super) const OF_SQS: AttributeNames = AttributeNames {
    names: ["stringValue", "binaryValue", "dataType"],
    has_one_value: false,
};

/// Names in `MessageAttributes` of an SNS notification.
pub(super) const OF_SNS: AttributeNames = AttributeNames {
    names: ["Value", "BinaryValue", "Type"],
    has_one_value: true,
};

/// Binary data type, and the prefix of its variants with a custom label, as in `Binary.png`.
const BINARY: &str = "Binary";

/// One message attribute.
#[derive(Debug, Default)]
pub(super) struct Attribute {
    pub(super) string_value: Option<Text>,
    pub(super) binary_value: Option<Text>,
    pub(super) data_type: Option<Text>,
    pub(super) is_null: bool,
}

impl Attribute {
    /// Reads the object that is next.
    pub(super) fn read(scanner: &mut Scanner<'_>, names: &AttributeNames) -> Self {
        let mut exact = [false; 3];
        let mut attribute = Self {
            is_null: scanner.kind() == Kind::Null,
            ..Self::default()
        };
        if !enter_object(scanner) {
            return attribute;
        }
        while let Some(key) = scanner.key() {
            let name = key.decode(scanner.json()).unwrap_or_default();
            let Some((number, slot)) = attribute.slot(&name, names) else {
                scanner.skip();
                continue;
            };
            let is_exact = name == names.names[number];
            // A field that is null does not take the place of the same in another spelling.
            if let Some(text) = text_or_skip(scanner)
                && (is_exact || !exact[number])
            {
                exact[number] |= is_exact;
                *slot = Some(text);
            }
        }
        if names.has_one_value && attribute.is_binary(scanner.json()) {
            let value = attribute.string_value.take();
            attribute.binary_value = attribute.binary_value.or(value);
        }
        attribute
    }

    fn is_binary(&self, json: &str) -> bool {
        let data_type = self.data_type.and_then(|data_type| data_type.decode(json));
        data_type.is_some_and(|data_type| data_type.starts_with(BINARY))
    }

    fn slot(&mut self, name: &str, names: &AttributeNames) -> Option<(usize, &mut Option<Text>)> {
        let number = names
            .names
            .iter()
            .position(|known| known.eq_ignore_ascii_case(name))?;
        let slot = match number {
            0 => &mut self.string_value,
            1 => &mut self.binary_value,
            _ => &mut self.data_type,
        };
        Some((number, slot))
    }
}

/// All message attributes of an object, in the order of the JSON.
#[derive(Debug, Clone)]
pub(super) struct Attributes<'a> {
    scanner: Option<Scanner<'a>>,
    names: &'static AttributeNames,
}

impl<'a> Attributes<'a> {
    /// Of the object that begins at `start`.
    pub(super) fn new(
        json: &'a str,
        start: Option<NonZeroU32>,
        names: &'static AttributeNames,
    ) -> Self {
        let scanner = start.map(|start| {
            let mut scanner = Scanner::within(json, start.get() as usize);
            scanner.enter();
            scanner
        });
        Self { scanner, names }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = MessageAttribute<'a>;

    /// Passes over an attribute whose name is no text, or that is null.
    fn next(&mut self) -> Option<Self::Item> {
        let scanner = self.scanner.as_mut()?;
        while let Some(key) = scanner.key() {
            let attribute = Attribute::read(scanner, self.names);
            if let Some(name) = key.decode(scanner.json()).filter(|_| !attribute.is_null) {
                return Some(MessageAttribute::new(scanner.json(), name, &attribute));
            }
        }
        self.scanner = None;
        None
    }
}

/// What a sender attached to a message beside its body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageAttribute<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// `String`, `Number` or `Binary`, perhaps with a label of the sender's behind a dot.
    pub data_type: Option<Cow<'a, str>>,
    /// The value, unless it is binary.
    pub string_value: Option<Cow<'a, str>>,
    /// The value if it is binary, in base64.
    pub binary_value: Option<Cow<'a, str>>,
}

impl<'a> MessageAttribute<'a> {
    fn new(json: &'a str, name: Cow<'a, str>, attribute: &Attribute) -> Self {
        let text = |text: Option<Text>| text?.decode(json);
        Self {
            name,
            data_type: text(attribute.data_type),
            string_value: text(attribute.string_value),
            binary_value: text(attribute.binary_value),
        }
    }
}
