//! What stands in for the dead-letter queue where its feature, and with it the AWS SDK, is not
//! compiled in: a type without values.

use std::convert::Infallible;

use opentelemetry::Context;
use opentelemetry::metrics::Meter;

use crate::event::Record;

/// Never there.
#[derive(Debug, Clone)]
pub(crate) enum DeadLetterQueue {}

/// Why a message is given up.
#[derive(Debug, Clone, Copy)]
#[expect(dead_code, reason = "nobody reads it where there is no queue")]
pub(crate) struct DeadLetterReason<'a> {
    pub(crate) error_type: &'a str,
    pub(crate) description: &'a str,
}

/// Never happens.
#[derive(Debug, thiserror::Error)]
#[error("no message is sent")]
pub(crate) enum DeadLetterError {}

impl DeadLetterQueue {
    pub(crate) fn name(&self) -> &str {
        match *self {}
    }

    pub(crate) fn with_meter(self, _: &Meter) -> Self {
        match self {}
    }

    pub(crate) fn takes(&self, _: &Record<'_>) -> bool {
        match *self {}
    }

    pub(crate) async fn from_environment(_: &str) -> Result<Self, Infallible> {
        unreachable!("a variable that needs the feature is refused before")
    }

    pub(crate) async fn send(
        &self,
        _: &Record<'_>,
        _: &Context,
        _: &DeadLetterReason<'_>,
    ) -> Result<(), DeadLetterError> {
        match *self {}
    }
}
