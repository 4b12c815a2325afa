//! The metrics of a call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::error_type;
use crate::metrics::{SendAttributes, SendInstruments};
use crate::queue::QueueUrl;

/// Measures one call. A measurement that is dropped before it is finished records a cancelled or
/// panicked call.
#[derive(Debug)]
pub(super) struct CallMeasurement {
    instruments: SendInstruments,
    attributes: SendAttributes,
    began: Instant,
    message_count: usize,
    /// Atomic, because the SDK lends out the state of a call only by shared reference.
    is_finished: AtomicBool,
}

impl CallMeasurement {
    /// Starts the measurement of a call. `queue` is `None` if its URL does not parse.
    pub(super) fn start(
        instruments: &SendInstruments,
        queue: Option<&QueueUrl>,
        message_count: usize,
    ) -> Self {
        Self {
            instruments: instruments.clone(),
            attributes: SendAttributes::new(queue),
            began: Instant::now(),
            message_count,
            is_finished: AtomicBool::new(false),
        }
    }

    /// Records a call to which SQS responded. `failures` are the `error.type`s of the messages that
    /// it did not accept. The duration has the first of them, as the `send` span does.
    pub(super) fn finish(&self, failures: &[&str]) {
        if self.set_finished() {
            return;
        }
        self.record_duration(failures.first().copied());
        let accepted = self.message_count.saturating_sub(failures.len());
        if accepted > 0 {
            self.instruments
                .count_accepted_messages(&self.attributes, accepted);
        }
        for error_type in failures {
            self.instruments
                .count_failed_messages(&self.attributes, 1, error_type);
        }
    }

    /// Records a call that failed with all its messages.
    pub(super) fn fail(&self, error_type: &str) {
        if self.set_finished() {
            return;
        }
        self.record_duration(Some(error_type));
        self.instruments
            .count_failed_messages(&self.attributes, self.message_count, error_type);
    }

    /// Returns `true` if the measurement was finished before: if the interceptor is registered
    /// twice, each of the two reports the same call.
    fn set_finished(&self) -> bool {
        self.is_finished.swap(true, Ordering::Relaxed)
    }

    fn record_duration(&self, error_type: Option<&str>) {
        let duration = self.began.elapsed();
        match error_type {
            None => self
                .instruments
                .record_successful_operation(&self.attributes, duration),
            Some(error_type) => {
                self.instruments
                    .record_failed_operation(&self.attributes, duration, error_type);
            }
        }
    }
}

impl Drop for CallMeasurement {
    fn drop(&mut self) {
        self.fail(error_type::classify_drop());
    }
}
