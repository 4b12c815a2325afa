//! The error that ends a consumer.

use std::fmt;

use baton_telemetry::ErrorChain;
use tower::BoxError;

use crate::config::{DEAD_LETTER_QUEUE, InvalidConfig, RuntimeVariableError};

/// Error that prevents a consumer from starting, or stops it.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A variable that Lambda sets is missing or empty.
    #[error("{0} is not set: start this program on Lambda, or with `baton up`")]
    NotOnLambda(&'static str),
    /// One or more variables are invalid.
    #[error("{}", join_errors(.0))]
    Config(Vec<InvalidConfig>),
    /// The telemetry has an exporter or span processor that would block or panic in an invocation.
    /// Contains an [`InvalidExporter`](crate::InvalidExporter).
    #[error("telemetry: {}", ErrorChain::new(.0.as_ref()))]
    Telemetry(BoxError),
    /// The dead-letter queue is invalid, or its client cannot be created.
    #[error("{DEAD_LETTER_QUEUE}: {}", ErrorChain::new(.0.as_ref()))]
    DeadLetterQueue(BoxError),
    /// A request to the Runtime API failed.
    #[error("request to the Lambda Runtime API at {address} failed: {}", ErrorChain::new(error.as_ref()))]
    Runtime {
        /// Host and port of the Runtime API.
        address: String,
        /// The cause. `Display` already includes its text and those of its own causes.
        error: lambda_runtime::Error,
    },
}

impl From<RuntimeVariableError> for Error {
    fn from(error: RuntimeVariableError) -> Self {
        match error {
            RuntimeVariableError::Missing(name) => Self::NotOnLambda(name),
            RuntimeVariableError::Invalid(invalid) => Self::Config(vec![invalid]),
        }
    }
}

/// Same text as `Display`, because a `main` that returns the error prints its `Debug` form.
impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

fn join_errors(invalid: &[InvalidConfig]) -> String {
    let lines: Vec<String> = invalid.iter().map(ToString::to_string).collect();
    lines.join("; ")
}
