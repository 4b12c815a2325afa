//! Failure of one record, as it is reported in spans, logs, metrics and dead letters.

use std::any::Any;

use baton_telemetry::panic_text;
use opentelemetry::Context;
use tracing::warn;

use super::SkipReason;
use crate::deadline::StopReason;
use crate::event::SqsRecord;
use crate::failure::{Classifiers, Failure, FailureKind};
use crate::message::BodyError;
use crate::spans;

/// `error.type` of panics.
const PANIC: &str = "panic";

/// Maximum length of a description in bytes. The description is copied to the span status, a log
/// line and a message attribute.
const MAX_DESCRIPTION: usize = 4096;

/// The failure of a record. Contains no values of the user's types, whose code could panic.
#[derive(Debug, Clone)]
pub(crate) struct RecordFailure {
    pub(crate) error_type: &'static str,
    pub(crate) description: String,
    pub(crate) kind: FailureKind,
}

impl RecordFailure {
    pub(super) fn new(failure: &Failure, classifiers: &Classifiers) -> Self {
        let class = failure.classify(classifiers);
        Self {
            error_type: class.error_type(),
            description: truncate(failure.to_string()),
            kind: class.kind(),
        }
    }

    pub(super) fn from_panic(panic: Box<dyn Any + Send>) -> Self {
        Self {
            error_type: PANIC,
            description: truncate(format!("the handler panicked: {}", panic_text(panic))),
            kind: FailureKind::Retryable,
        }
    }

    pub(super) fn from_cancellation(reason: StopReason) -> Self {
        Self {
            error_type: reason.error_type(),
            description: reason.cancelled_description().to_owned(),
            kind: FailureKind::Retryable,
        }
    }

    pub(super) fn from_skip(reason: SkipReason) -> Self {
        Self {
            error_type: reason.error_type,
            description: reason.description.to_owned(),
            kind: FailureKind::Retryable,
        }
    }

    pub(super) fn from_invalid_body(error: BodyError) -> Self {
        Self::new(&Failure::from_invalid_body(error), &Classifiers::default())
    }

    /// Logs the failure and records it on the span of `context`.
    pub(super) fn report(&self, context: &Context, record: &SqsRecord<'_>) {
        warn!(
            // `log_layer` adds `messageId`, but a program's own subscriber may not have that layer.
            message_id = record.message_id().as_deref(),
            error.type = self.error_type,
            error.message = self.description,
            retryable = self.kind == FailureKind::Retryable,
            "message failed"
        );
        self.set_on(context);
    }

    /// Records the failure on the span of `context`.
    pub(super) fn set_on(&self, context: &Context) {
        spans::set_failure(context, self.error_type, self.description.clone());
    }
}

fn truncate(mut text: String) -> String {
    if text.len() > MAX_DESCRIPTION {
        text.truncate(text.floor_char_boundary(MAX_DESCRIPTION));
        text.push('…');
    }
    text
}
