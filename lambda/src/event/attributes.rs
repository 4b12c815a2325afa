//! Message attributes, in the forms in which SQS and SNS send them.
//!
//! A map or a value of the wrong type counts as absent. Only telemetry and some handlers read
//! attributes, and an unreadable attribute must not prevent a message from being handled.

use std::borrow::Cow;
use std::num::NonZeroU32;

use super::scanner::{JsonKind, Scanner};
use super::string::JsonString;

/// Enters the next value if it is an object. Skips any other value and returns `false`.
pub(super) fn enter_object(scanner: &mut Scanner<'_>) -> bool {
    let is_object = scanner.peek_kind() == JsonKind::Object;
    if is_object {
        scanner.enter();
    } else {
        scanner.skip();
    }
    is_object
}

/// Reads the next value if it is a string. Skips any other value.
pub(super) fn read_string_or_skip(scanner: &mut Scanner<'_>) -> Option<JsonString> {
    let text = scanner.read_string();
    if text.is_none() {
        scanner.skip();
    }
    text
}

/// Names of an attribute's fields: string value, binary value and data type.
///
/// Names are compared case-insensitively, and the exact name takes precedence: Lambda writes
/// `stringValue`, the SQS API `StringValue`, and hand-written test events contain both.
#[derive(Debug, Clone, Copy)]
pub(super) struct AttributeNames {
    names: [&'static str; 3],
    /// `true` if the first name is also used for binary values, so that only the data type
    /// distinguishes base64 from text.
    has_one_value: bool,
}

/// Names in `messageAttributes` of a record.
pub(super) const SQS_NAMES: AttributeNames = AttributeNames {
    names: ["stringValue", "binaryValue", "dataType"],
    has_one_value: false,
};

/// Names in `MessageAttributes` of an SNS notification.
pub(super) const SNS_NAMES: AttributeNames = AttributeNames {
    names: ["Value", "BinaryValue", "Type"],
    has_one_value: true,
};

/// Binary data type, and the prefix of its variants with a custom label, as in `Binary.png`.
const BINARY: &str = "Binary";

/// Positions of the fields of one message attribute.
#[derive(Debug, Default)]
pub(super) struct AttributeFields {
    pub(super) string_value: Option<JsonString>,
    pub(super) binary_value: Option<JsonString>,
    pub(super) data_type: Option<JsonString>,
    pub(super) is_null: bool,
}

impl AttributeFields {
    /// Reads the next value.
    pub(super) fn read(scanner: &mut Scanner<'_>, names: &AttributeNames) -> Self {
        let mut has_exact = [false; 3];
        let mut attribute = Self {
            is_null: scanner.peek_kind() == JsonKind::Null,
            ..Self::default()
        };
        if !enter_object(scanner) {
            return attribute;
        }
        while let Some(key) = scanner.next_key() {
            // A name that is not valid Unicode becomes empty, and no field has an empty name.
            let name = key.decode(scanner.json()).unwrap_or_default();
            let Some((number, field)) = attribute.field_mut(&name, names) else {
                scanner.skip();
                continue;
            };
            let is_exact = name == names.names[number];
            // `null` counts as absent and does not replace the value of another spelling.
            if let Some(text) = read_string_or_skip(scanner)
                && (is_exact || !has_exact[number])
            {
                has_exact[number] |= is_exact;
                *field = Some(text);
            }
        }
        // Decided after the last field, because the data type may follow the value. The base64 of a
        // binary value must not pass for text, because it can be a valid member of a baggage
        // header.
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

    fn field_mut(
        &mut self,
        name: &str,
        names: &AttributeNames,
    ) -> Option<(usize, &mut Option<JsonString>)> {
        let number = names
            .names
            .iter()
            .position(|known| known.eq_ignore_ascii_case(name))?;
        let field = match number {
            0 => &mut self.string_value,
            1 => &mut self.binary_value,
            _ => &mut self.data_type,
        };
        Some((number, field))
    }
}

/// Iterator over the message attributes of an object, in the order of the JSON.
#[derive(Debug, Clone)]
pub(super) struct MessageAttributes<'a> {
    scanner: Option<Scanner<'a>>,
    names: &'static AttributeNames,
}

impl<'a> MessageAttributes<'a> {
    /// Iterates over the object that begins at `start`.
    pub(super) fn new(
        json: &'a str,
        start: Option<NonZeroU32>,
        names: &'static AttributeNames,
    ) -> Self {
        let scanner = start.map(|start| {
            let mut scanner = Scanner::from_position(json, start.get() as usize);
            scanner.enter();
            scanner
        });
        Self { scanner, names }
    }
}

impl<'a> Iterator for MessageAttributes<'a> {
    type Item = MessageAttribute<'a>;

    /// Skips attributes that are null or whose name is not valid Unicode.
    fn next(&mut self) -> Option<Self::Item> {
        let scanner = self.scanner.as_mut()?;
        while let Some(key) = scanner.next_key() {
            let attribute = AttributeFields::read(scanner, self.names);
            if let Some(name) = key.decode(scanner.json()).filter(|_| !attribute.is_null) {
                return Some(MessageAttribute::new(scanner.json(), name, &attribute));
            }
        }
        // The scanner is now behind the object, and another call would read the field that follows
        // as an attribute.
        self.scanner = None;
        None
    }
}

/// A message attribute that the sender has set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageAttribute<'a> {
    /// Name of the attribute.
    pub name: Cow<'a, str>,
    /// `String`, `Number` or `Binary`, optionally followed by a dot and a custom label.
    pub data_type: Option<Cow<'a, str>>,
    /// Value of an attribute that is not binary.
    pub string_value: Option<Cow<'a, str>>,
    /// Value of a binary attribute, in base64.
    pub binary_value: Option<Cow<'a, str>>,
}

impl<'a> MessageAttribute<'a> {
    fn new(json: &'a str, name: Cow<'a, str>, attribute: &AttributeFields) -> Self {
        let decode = |text: Option<JsonString>| text?.decode(json);
        Self {
            name,
            data_type: decode(attribute.data_type),
            string_value: decode(attribute.string_value),
            binary_value: decode(attribute.binary_value),
        }
    }
}
