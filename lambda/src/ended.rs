//! The spans that have ended, for tests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::{Context, Key, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

/// Clones share what they have seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ended(Arc<Mutex<Vec<SpanData>>>);

impl SpanProcessor for Ended {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.lock().unwrap().push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl Ended {
    /// In the order in which they ended.
    #[cfg(feature = "dead-letter-queue")]
    pub(crate) fn spans(&self) -> Vec<SpanData> {
        self.0.lock().unwrap().clone()
    }

    /// The one span with this value of `messaging.message.id`.
    pub(crate) fn record(&self, id: &str) -> SpanData {
        let ended = self.0.lock().unwrap();
        let mut found = ended
            .iter()
            .filter(|span| attribute(span, "messaging.message.id") == Some(id.to_owned().into()));
        let span = found.next().unwrap().clone();
        assert!(found.next().is_none());
        span
    }

    /// The batch span, which ends last.
    pub(crate) fn batch(&self) -> SpanData {
        let ended = self.0.lock().unwrap();
        let last = ended.last().unwrap();
        assert!(last.name.starts_with("process_batch"), "{}", last.name);
        last.clone()
    }
}

pub(crate) fn attribute(span: &SpanData, key: &'static str) -> Option<Value> {
    let key = Key::new(key);
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key == key);
    found.map(|attribute| attribute.value.clone())
}
