//! The two maps of a record: what SQS says about the message, and what its sender attached.
//!
//! A map or a value in it that is not what it should be counts as absent: only telemetry and curious handlers ask for them, and neither is
//! a reason not to process a message.

use super::fields::Fields;
use super::scan::{Kind, Scanner, Text};
use baton_telemetry::{BAGGAGE, TRACEPARENT, TRACESTATE};
use std::borrow::Cow;

/// Goes into the object that is next; passes over anything else.
fn enter_object(scanner: &mut Scanner<'_>) -> bool {
    let is_object = scanner.kind() == Kind::Object;
    if is_object {
        scanner.enter();
    } else {
        scanner.skip();
    }
    is_object
}

fn text_or_skip(scanner: &mut Scanner<'_>) -> Option<Text> {
    let text = scanner.text();
    if text.is_none() {
        scanner.skip();
    }
    text
}

/// `attributes`: all of them strings, whatever they mean. As in any JSON object, the last of several with one name counts.
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

/// One entry of a trace context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Entry {
    #[default]
    Absent,
    Text(Text),
    /// It is there and holds no text. That is not absent: somebody meant to say something.
    NoText,
    /// It is there in several spellings, none of which is the one in lower case.
    Ambiguous,
}

/// The message attributes that may hold a W3C context: one read of the names, without building any of the others.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Carrier {
    pub(super) traceparent: Entry,
    pub(super) tracestate: Entry,
    pub(super) baggage: Entry,
}

/// Which names in lower case have been seen: other spellings do not count beside them, whatever the order.
#[derive(Debug, Default)]
struct Exact([bool; 3]);

impl Carrier {
    /// Reads the map that is next, each of whose values `value` reads.
    pub(crate) fn read(
        scanner: &mut Scanner<'_>,
        value: impl Fn(&mut Scanner<'_>) -> Entry,
    ) -> Self {
        let mut carrier = Self::default();
        let mut exact = Exact::default();
        if !enter_object(scanner) {
            return carrier;
        }
        while let Some(key) = scanner.key() {
            let name = key.decode(scanner.json());
            match name.as_deref().and_then(carrier_name) {
                Some((number, is_exact)) => {
                    let entry = value(scanner);
                    carrier.put(number, is_exact, entry, &mut exact);
                }
                None => scanner.skip(),
            }
        }
        carrier
    }

    fn put(&mut self, number: usize, is_exact: bool, entry: Entry, exact: &mut Exact) {
        let slot = match number {
            0 => &mut self.traceparent,
            1 => &mut self.tracestate,
            _ => &mut self.baggage,
        };
        if is_exact {
            exact.0[number] = true;
            *slot = entry;
        } else if !exact.0[number] {
            *slot = match slot {
                Entry::Absent => entry,
                _ => Entry::Ambiguous,
            };
        }
    }
}

/// Which of the three names it is, and whether it is in lower case.
fn carrier_name(name: &str) -> Option<(usize, bool)> {
    let names = [TRACEPARENT, TRACESTATE, BAGGAGE];
    let number = names
        .iter()
        .position(|known| known.eq_ignore_ascii_case(name))?;
    Some((number, names[number] == name))
}

/// One of `messageAttributes`. Lambda writes the names of its fields as `stringValue`, the SQS API as `StringValue`; both turn up in events
/// that people make for tests, and others in those that they make by hand.
#[derive(Debug, Default)]
pub(super) struct Attribute {
    pub(super) string_value: Option<Text>,
    pub(super) binary_value: Option<Text>,
    pub(super) data_type: Option<Text>,
    is_null: bool,
}

impl Attribute {
    /// Reads the object that is next.
    fn read(scanner: &mut Scanner<'_>) -> Self {
        let mut attribute = Self {
            is_null: scanner.kind() == Kind::Null,
            ..Self::default()
        };
        if !enter_object(scanner) {
            return attribute;
        }
        while let Some(key) = scanner.key() {
            let name = key.decode(scanner.json()).unwrap_or_default();
            let slot = if name.eq_ignore_ascii_case("stringValue") {
                &mut attribute.string_value
            } else if name.eq_ignore_ascii_case("dataType") {
                &mut attribute.data_type
            } else if name.eq_ignore_ascii_case("binaryValue") {
                &mut attribute.binary_value
            } else {
                scanner.skip();
                continue;
            };
            // A field that is null does not take the place of the same in another spelling.
            if let Some(text) = text_or_skip(scanner) {
                *slot = Some(text);
            }
        }
        attribute
    }

    fn entry(&self) -> Entry {
        match self.string_value {
            Some(text) => Entry::Text(text),
            None if self.is_null => Entry::Absent,
            None => Entry::NoText,
        }
    }
}

/// All message attributes of a record, in the order of the event.
#[derive(Debug, Clone)]
pub(super) struct Attributes<'a>(Option<Scanner<'a>>);

impl<'a> Attributes<'a> {
    pub(super) fn new(json: &'a str, start: Option<u32>) -> Self {
        Self(start.map(|start| {
            let mut scanner = Scanner::new(json, start as usize);
            scanner.enter();
            scanner
        }))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (Cow<'a, str>, Attribute);

    /// Passes over an attribute whose name is no text, or that is null.
    fn next(&mut self) -> Option<Self::Item> {
        let scanner = self.0.as_mut()?;
        while let Some(key) = scanner.key() {
            let attribute = Attribute::read(scanner);
            if let Some(name) = key.decode(scanner.json()).filter(|_| !attribute.is_null) {
                return Some((name, attribute));
            }
        }
        self.0 = None;
        None
    }
}

/// What a carrier says under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Absent,
    Text(Cow<'a, str>),
    /// It is there, and is no text.
    NoText,
    /// It is there in several spellings, none of which is the one in lower case.
    Ambiguous,
}

/// What a carrier says about the trace of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TraceCarrier<'a> {
    pub(crate) traceparent: Value<'a>,
    pub(crate) tracestate: Value<'a>,
    pub(crate) baggage: Value<'a>,
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
    pub(super) fn new(json: &'a str, name: Cow<'a, str>, attribute: &Attribute) -> Self {
        let text = |text: Option<Text>| text?.decode(json);
        Self {
            name,
            data_type: text(attribute.data_type),
            string_value: text(attribute.string_value),
            binary_value: text(attribute.binary_value),
        }
    }
}
