//! Collects the fields of an event and of the spans around it, under unique keys.

use std::borrow::Cow;

use tracing::Event;
use tracing::field::Field;

use super::span_fields::SpanScope;
use super::visitor::LogValueVisitor;
use crate::logs::Correlation;
use crate::otlp::encode::LogValue;

/// Name of the field with the text of an event in `tracing`.
pub(super) const MESSAGE: &str = "message";
/// Prefix for an event's field whose name is already taken.
const EVENT_PREFIX: &str = "field.";
/// Prefix for a message's field whose name is already taken.
const MESSAGE_PREFIX: &str = "message.";
/// Prefix for a span's field whose name is already taken.
const SPAN_PREFIX: &str = "span.";

/// Writer of the fields of a line or a record.
pub(super) trait FieldWriter {
    /// Returns `true` if the writer reserves this key, so that an event's field must use another
    /// one.
    fn is_reserved(key: &str) -> bool;

    /// Returns `true` if the writer reserves this key, so that a field of a message or a span needs
    /// another one.
    fn is_reserved_from_spans(key: &str) -> bool {
        key == MESSAGE || Self::is_reserved(key)
    }

    /// Writes one field. Each key is passed only once.
    fn put(&mut self, key: &str, value: LogValue<'_>);
}

/// Writes all fields of an event, then those of its message, then those of the spans around it,
/// from the innermost outwards.
///
/// A key that is already taken gets a prefix, repeatedly if necessary. The event's fields have
/// priority over those of the message, those of the message over those of spans, and inner spans
/// over outer ones.
pub(super) fn write<W: FieldWriter>(
    event: &Event<'_>,
    spans: &dyn SpanScope,
    correlation: &Correlation,
    writer: &mut W,
) {
    let mut renamed = Vec::new();
    let all = event.metadata().fields();
    visit_event(event, |field, value| {
        let name = field.name();
        let is_first = all.field(name).as_ref() == Some(field);
        if is_first && !W::is_reserved(name) {
            return writer.put(name, value);
        }
        let is_taken =
            |key: &str| W::is_reserved(key) || all.field(key).is_some() || has(&renamed, key);
        let key = unique_key(name, EVENT_PREFIX, is_taken);
        writer.put(&key, value);
        renamed.push(key);
    });
    let mut used = None;
    let message_fields = correlation.message_fields.as_ref();
    if let Some(fields) = message_fields.filter(|fields| !fields.is_empty()) {
        let used = used.get_or_insert_with(|| UsedKeys::new(event, &mut renamed));
        fields.for_each(&mut |name, value| {
            let key = used.add(name, MESSAGE_PREFIX, W::is_reserved_from_spans);
            writer.put(key, value);
        });
    }
    spans.for_each(event, &mut |fields| {
        if !fields.may_contain(correlation) {
            return;
        }
        let used = used.get_or_insert_with(|| UsedKeys::new(event, &mut renamed));
        for (name, value) in fields.iter() {
            let key = used.add(name, SPAN_PREFIX, W::is_reserved_from_spans);
            writer.put(key, value);
        }
    });
}

/// Keys of a line or record that includes fields of a message or of spans.
struct UsedKeys(Vec<Cow<'static, str>>);

impl UsedKeys {
    fn new(event: &Event<'_>, renamed: &mut Vec<Cow<'static, str>>) -> Self {
        let mut keys = std::mem::take(renamed);
        visit_event(event, |field, _| keys.push(field.name().into()));
        Self(keys)
    }

    /// Adds a key for a field, and returns it. `is_reserved` returns true for keys that the writer
    /// reserves.
    fn add(&mut self, name: &str, prefix: &str, is_reserved: fn(&str) -> bool) -> &str {
        let is_taken = |key: &str| is_reserved(key) || has(&self.0, key);
        let key = unique_key(name, prefix, is_taken).into_owned();
        let position = self.0.len();
        self.0.push(key.into());
        &self.0[position]
    }
}

fn has(keys: &[Cow<'static, str>], key: &str) -> bool {
    keys.iter().any(|used| used == key)
}

/// Returns the name with as many prefixes as it needs to be unique.
fn unique_key<'a>(name: &'a str, prefix: &str, is_taken: impl Fn(&str) -> bool) -> Cow<'a, str> {
    let mut key = Cow::Borrowed(name);
    while is_taken(&key) {
        key = [prefix, &key].concat().into();
    }
    key
}

fn visit_event(event: &Event<'_>, visit: impl FnMut(&Field, LogValue<'_>)) {
    event.record(&mut LogValueVisitor(visit));
}
