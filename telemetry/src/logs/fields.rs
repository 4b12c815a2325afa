//! An event's fields, for whoever writes them down.

use super::Chain;
use std::error::Error;
use std::fmt;
use tracing::Event;
use tracing::field::{Field, Visit};

/// What `tracing` calls the text of an event.
pub(super) const MESSAGE: &str = "message";

/// A field's value, as far as those who write it down tell values apart.
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Double(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Text that is still to be made, by code of the program's own: it may log something itself, so nothing may be locked meanwhile.
    Made(&'a dyn fmt::Debug),
}

/// Writes fields down as they come.
pub(super) trait FieldWriter {
    fn put(&mut self, name: &'static str, value: Value<'_>);
}

/// Has all fields of an event written.
pub(super) fn write(event: &Event<'_>, writer: &mut impl FieldWriter) {
    event.record(&mut Visitor(writer));
}

struct Visitor<'a, W>(&'a mut W);

impl<W: FieldWriter> Visit for Visitor<'_, W> {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.put(field.name(), Value::Bool(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.put(field.name(), Value::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.put(field.name(), Value::Unsigned(value));
    }

    /// Numbers beyond 64 bits are text: what reads the line or the record has no such numbers.
    fn record_i128(&mut self, field: &Field, value: i128) {
        match i64::try_from(value) {
            Ok(value) => self.record_i64(field, value),
            Err(_) => self.record_debug(field, &value),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match u64::try_from(value) {
            Ok(value) => self.record_u64(field, value),
            Err(_) => self.record_debug(field, &value),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.put(field.name(), Value::Double(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.put(field.name(), Value::Text(value));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.0.put(field.name(), Value::Bytes(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record_debug(field, &format_args!("{}", Chain(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.put(field.name(), Value::Made(value));
    }
}
