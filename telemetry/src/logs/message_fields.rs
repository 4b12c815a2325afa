//! Log fields of a message.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry::{Context, Key, KeyValue, Value};

use super::correlation::Correlation;
use crate::otlp::encode::LogValue;

/// Log fields of a message, which all its log lines have. Clones share the fields.
///
/// ```
/// use baton_telemetry::{MessageFields, with_message};
/// use opentelemetry::{Context, KeyValue};
///
/// let fields = MessageFields::default();
/// let _active = with_message(&Context::new(), None, fields.clone()).attach();
/// MessageFields::current().set("order_id", 7);
/// assert_eq!(fields.to_vec(), [KeyValue::new("order_id", 7)]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct MessageFields(Arc<Mutex<Vec<KeyValue>>>);

impl MessageFields {
    /// Returns the fields of the message in the active context, or new ones if there is no message.
    #[must_use]
    pub fn current() -> Self {
        Context::map_current(|context| {
            let correlation: Option<&Correlation> = context.get();
            correlation
                .and_then(|correlation| correlation.message_fields.clone())
                .unwrap_or_default()
        })
    }

    /// Sets a field, or replaces its value.
    pub fn set(&self, key: impl Into<Key>, value: impl Into<Value>) {
        let field = KeyValue::new(key, value);
        let mut fields = self.lock();
        match fields.iter_mut().find(|known| known.key == field.key) {
            Some(known) => *known = field,
            None => fields.push(field),
        }
    }

    /// Returns the fields in the order in which they were first set, for programs that format log
    /// lines themselves.
    #[must_use]
    pub fn to_vec(&self) -> Vec<KeyValue> {
        self.lock().clone()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Calls `visit` with each field. A trait object, because each writer would otherwise have a
    /// copy of this code.
    pub(super) fn for_each(&self, visit: &mut dyn FnMut(&str, LogValue<'_>)) {
        for field in self.lock().iter() {
            let key = field.key.as_str();
            match &field.value {
                Value::Bool(value) => visit(key, LogValue::Bool(*value)),
                Value::I64(number) => visit(key, LogValue::Signed(*number)),
                Value::F64(number) => visit(key, LogValue::Double(*number)),
                Value::String(text) => visit(key, LogValue::Text(text.as_str())),
                other => visit(key, LogValue::Text(&other.to_string())),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<KeyValue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
