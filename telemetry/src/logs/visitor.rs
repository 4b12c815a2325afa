//! Conversion of the fields of spans and events to the values of log lines and records.

use std::error::Error;
use std::fmt;

use tracing::field::{Field, Visit};

use crate::error_chain::ErrorChain;
use crate::otlp::encode::LogValue;

/// Visitor that passes each field to a function.
pub(super) struct LogValueVisitor<F>(pub(super) F);

impl<F: FnMut(&Field, LogValue<'_>)> Visit for LogValueVisitor<F> {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0(field, LogValue::Bool(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0(field, LogValue::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0(field, LogValue::Unsigned(value));
    }

    /// Numbers beyond 64 bits are text, because readers of lines and records do not support them.
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
        self.0(field, LogValue::Double(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0(field, LogValue::Text(value));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.0(field, LogValue::Bytes(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record_debug(field, &format_args!("{}", ErrorChain::new(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0(field, LogValue::Debug(value));
    }
}
