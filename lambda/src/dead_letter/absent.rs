//! Replacement for the dead-letter queue if its feature, and with it the AWS SDK, is not compiled
//! in: types without values, so that the compiler removes all code that uses them.

use std::convert::Infallible;

use opentelemetry::Context;
use opentelemetry::metrics::Meter;

use crate::event::SqsRecord;

/// A dead-letter queue, which cannot exist without the feature.
#[derive(Debug, Clone)]
pub(crate) enum DeadLetterQueue {}

/// The failure that is recorded on a message.
#[derive(Debug, Clone, Copy)]
#[expect(dead_code, reason = "only a dead-letter queue reads the fields")]
pub(crate) struct DeadLetterReason<'a> {
    pub(crate) error_type: &'a str,
    pub(crate) description: &'a str,
}

/// The error of a send, which cannot occur.
#[derive(Debug, thiserror::Error)]
#[error("messages are not sent without the feature dead-letter-queue")]
pub(crate) enum DeadLetterError {}

impl DeadLetterQueue {
    pub(crate) fn name(&self) -> &str {
        match *self {}
    }

    pub(crate) fn with_meter(self, _: &Meter) -> Self {
        match self {}
    }

    pub(crate) fn can_receive(&self, _: &SqsRecord<'_>) -> bool {
        match *self {}
    }

    pub(crate) async fn from_environment(_: &str) -> Result<Self, Infallible> {
        unreachable!("the configuration rejects the variable without the feature")
    }

    pub(crate) async fn send(
        &self,
        _: &SqsRecord<'_>,
        _: &Context,
        _: &DeadLetterReason<'_>,
    ) -> Result<(), DeadLetterError> {
        match *self {}
    }
}
