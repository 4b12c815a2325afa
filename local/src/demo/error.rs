//! Errors of the demo.

use crate::stack::{HttpError, StackError};

/// Why the demo could not be played to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// A part of the stack ended.
    #[error("the stack broke down")]
    Stack(#[from] StackError),
    /// The stack was started without a producer.
    #[error(
        "cannot play the demo: the stack was started without the producer that takes its requests"
    )]
    NoProducer,
    /// The producer did not answer.
    #[error("the onboarding of {customer_id} was not answered")]
    Request {
        /// Whose.
        customer_id: String,
        /// Why.
        source: HttpError,
    },
    /// The producer answered, but not as it must.
    #[error(
        "the onboarding of {customer_id} was answered {answer}, expected 202 with message_id and trace_id"
    )]
    Refused {
        /// Whose.
        customer_id: String,
        /// Status and body.
        answer: String,
    },
    /// The function failed a message that it has no reason to fail.
    #[error("the function failed {customer_id}, an ordinary onboarding, with {error_type:?}")]
    OrdinaryFailed {
        /// Whose.
        customer_id: String,
        /// The `error.type` of the span that says so.
        error_type: String,
    },
    /// The dead-letter queue could not be read.
    #[error("cannot read the dead-letter queue: {reason}")]
    DeadLetters {
        /// What the SDK said.
        reason: String,
    },
}
