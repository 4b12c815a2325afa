//! Errors of the demo.

use crate::stack::{HttpError, StackError};

/// Error that ends the demo early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// A part of the stack stopped.
    #[error("the stack failed")]
    Stack(#[from] StackError),
    /// The stack was started without a producer.
    #[error("cannot run the demo: the stack was started without a producer")]
    NoProducer,
    /// The producer did not respond.
    #[error("no response to the onboarding of {customer_id}")]
    Request {
        /// Id of the customer.
        customer_id: String,
        /// Error of the request.
        source: HttpError,
    },
    /// The producer's response is not as expected.
    #[error(
        "unexpected response to the onboarding of {customer_id}: {response}, expected 202 with message_id and trace_id"
    )]
    UnexpectedResponse {
        /// Id of the customer.
        customer_id: String,
        /// Status and body of the response.
        response: String,
    },
    /// The function failed a message that has no fault.
    #[error(
        "the function failed to process {customer_id}, an ordinary onboarding, with {error_type:?}"
    )]
    OrdinaryFailed {
        /// Id of the customer.
        customer_id: String,
        /// `error.type` of the delivery's span.
        error_type: String,
    },
    /// The dead-letter queue could not be read.
    #[error("cannot read the dead-letter queue: {reason}")]
    DeadLetters {
        /// Error of the SDK.
        reason: String,
    },
}
