//! The warnings that a test's thread logs.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// Keeps the warnings that this thread logs, until it is dropped.
///
/// ```
/// use baton_test_support::warnings::Warnings;
///
/// let warnings = Warnings::record();
/// tracing::warn!(attempt = 3, "no response");
/// assert_eq!(warnings.containing("no response").len(), 1);
/// ```
#[derive(Debug)]
pub struct Warnings {
    recorder: WarningRecorder,
    /// With a single subscriber, tracing caches the interest of a callsite for all threads. If a
    /// test without a subscriber reached a callsite first, it would be disabled here too.
    _second: Dispatch,
    _default: DefaultGuard,
}

impl Warnings {
    /// Starts to keep warnings.
    #[must_use]
    pub fn record() -> Self {
        let recorder = WarningRecorder::default();
        Self {
            _second: Dispatch::new(NoSubscriber::new()),
            _default: tracing::subscriber::set_default(recorder.clone()),
            recorder,
        }
    }

    /// Returns the warnings that contain this text, each with its fields.
    #[must_use]
    pub fn containing(&self, text: &str) -> Vec<String> {
        let all = self.recorder.lock();
        let found = all.iter().filter(|warning| warning.contains(text));
        found.cloned().collect()
    }
}

/// A subscriber that keeps warnings. Clones share them.
#[derive(Debug, Clone, Default)]
struct WarningRecorder(Arc<Mutex<Vec<String>>>);

impl WarningRecorder {
    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{field}={value:?} ");
    }
}

impl Subscriber for WarningRecorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() == Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.lock().push(text.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
