//! Log fields of a message.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry::{Key, KeyValue, Value};

use crate::otlp::encode::LogValue;

/// Log fields of a message, which all its log lines have. Clones share the fields.
///
/// ```
/// use baton_telemetry::{MessageFields, with_message};
/// use opentelemetry::{Context, KeyValue};
///
/// let fields = MessageFields::default();
/// let _active = with_message(&Context::new(), None, fields.clone()).attach();
/// fields.set("order_id", 7);
/// tracing::info!("order received"); // … "order_id":7 …
/// assert_eq!(fields.to_vec(), [KeyValue::new("order_id", 7)]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct MessageFields {
    /// Position of the message in its batch.
    position: usize,
    /// Fields of all messages of the batch, so that a message without fields costs no allocation.
    batch: Arc<Mutex<BatchFields>>,
}

/// Fields of the messages of a batch, by their positions.
type BatchFields = HashMap<usize, Vec<KeyValue>>;

impl MessageFields {
    /// Returns the fields of the message at this position of the same batch.
    #[must_use]
    pub fn at(&self, position: usize) -> Self {
        Self {
            position,
            batch: Arc::clone(&self.batch),
        }
    }

    /// Sets a field, or replaces its value.
    pub fn set(&self, key: impl Into<Key>, value: impl Into<Value>) {
        let field = KeyValue::new(key, value);
        let mut batch = self.lock();
        let fields = batch.entry(self.position).or_default();
        match fields.iter_mut().find(|known| known.key == field.key) {
            Some(known) => *known = field,
            None => fields.push(field),
        }
    }

    /// Returns the fields in the order in which they were first set, for programs that format log
    /// lines themselves.
    #[must_use]
    pub fn to_vec(&self) -> Vec<KeyValue> {
        self.lock().get(&self.position).cloned().unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.lock().contains_key(&self.position)
    }

    /// Calls `visit` with each field. A trait object, because each writer would otherwise have a
    /// copy of this code.
    pub(super) fn for_each(&self, visit: &mut dyn FnMut(&str, LogValue<'_>)) {
        for field in self.lock().get(&self.position).into_iter().flatten() {
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

    fn lock(&self) -> MutexGuard<'_, BatchFields> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
