//! Sending of spilled spans, for `baton replay`.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::config;
use crate::error_chain::ErrorChain;
use crate::otlp::{Signal, json};
use crate::transport::client::BufList;
use crate::transport::{Transport, TransportError};

mod spilled;

pub use spilled::spill;

/// Maximum length of a request: collectors accept 4 MiB by default.
pub const MAX_REQUEST_BYTES: usize = crate::export::MAX_REQUEST_BYTES;

/// Sends requests to the collector that spans are exported to.
///
/// ```no_run
/// use baton_telemetry::replay::{ReplaySender, request_from_json};
///
/// # async fn example(otlp_json: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
/// let sender = ReplaySender::from_env(Some("https://collector.example:4318"))?;
/// let acknowledgement = sender.send(request_from_json(otlp_json)?.into()).await?;
/// println!("{} spans rejected", acknowledgement.rejected);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ReplaySender {
    transport: Transport,
    endpoint: String,
    ignored_variable: Option<&'static str>,
}

/// Problems with the environment variables, or with the endpoint that was given instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidEnvironment(Vec<InvalidSetting>);

/// A line that names an invalid variable and states what was expected. Contains no value that may
/// be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSetting(String);

impl InvalidEnvironment {
    fn new(problems: Vec<String>) -> Self {
        Self(problems.into_iter().map(InvalidSetting).collect())
    }

    /// Returns all problems.
    #[must_use]
    pub fn settings(&self) -> &[InvalidSetting] {
        &self.0
    }
}

/// Writes one line per problem.
impl fmt::Display for InvalidEnvironment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index > 0 { "\n" } else { "" };
            write!(formatter, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidEnvironment {}

/// Response to a request that the collector accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Number of spans that the collector rejected permanently.
    pub rejected: u64,
    /// The collector's message about them, or its warning if it rejected none. Empty if it sent
    /// neither.
    pub message: String,
}

/// The reason why a request was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendFailure {
    /// The collector will never accept this request, but may accept others.
    #[error("{0}")]
    NonRetryable(String),
    /// The collector rejects the headers of the request.
    #[error("{0}: check the headers in OTEL_EXPORTER_OTLP_HEADERS")]
    Unauthorized(String),
    /// The endpoint is not that of an OTLP receiver. The text contains the response, and the
    /// probable mistake in the configuration.
    #[error("{0}")]
    WrongEndpoint(String),
    /// The same request may succeed later.
    #[error("{text}")]
    Retryable {
        /// Description of the failure.
        text: String,
        /// Time after which the collector accepts a retry, if it states one.
        retry_after: Option<Duration>,
    },
}

impl ReplaySender {
    /// Reads `OTEL_EXPORTER_OTLP_*` as for the export of traces. `endpoint` replaces
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` and `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`. `OTEL_SDK_DISABLED`
    /// and `OTEL_TRACES_EXPORTER` are ignored, because resending is an explicit request.
    ///
    /// # Errors
    ///
    /// Returns all invalid variables. A service would log them and continue, but here a person can
    /// correct them.
    pub fn from_env(endpoint: Option<&str>) -> Result<Self, InvalidEnvironment> {
        let replay = config::traces_for_replay(endpoint).map_err(InvalidEnvironment::new)?;
        Ok(Self {
            endpoint: replay.otlp.endpoint.to_string(),
            transport: Transport::new(Signal::Traces, &replay.otlp),
            ignored_variable: replay.ignored_variable,
        })
    }

    /// Returns the name of a variable that is set but ignored, because only a service uses it.
    #[must_use]
    pub fn ignored_variable(&self) -> Option<&'static str> {
        self.ignored_variable
    }

    /// Returns the URL of the endpoint, without secrets.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Sends an `ExportTraceServiceRequest` once, with the timeout of `OTEL_EXPORTER_OTLP_TIMEOUT`.
    ///
    /// # Errors
    ///
    /// Returns an error if the collector does not accept the request or does not respond.
    pub async fn send(&self, request: Bytes) -> Result<Acknowledgement, SendFailure> {
        let mut body = BufList::default();
        body.push(request);
        let deadline: Instant = self.transport.request_deadline();
        let response = self.transport.send(body, deadline).await;
        let response = response.map_err(|error| self.failure(error))?;
        Ok(Acknowledgement {
            rejected: response.rejected,
            message: response.message,
        })
    }

    fn failure(&self, error: TransportError) -> SendFailure {
        let text = ErrorChain::new(&error).to_text();
        match error {
            error if error.is_unauthorized() => SendFailure::Unauthorized(text),
            TransportError::WrongEndpoint(_) => SendFailure::WrongEndpoint(text),
            TransportError::NonRetryable(_) => SendFailure::NonRetryable(text),
            TransportError::Retryable { retry_after, .. } => {
                SendFailure::Retryable { text, retry_after }
            }
            TransportError::Request(_) | TransportError::Unacknowledged { .. } => {
                SendFailure::Retryable {
                    text,
                    retry_after: None,
                }
            }
        }
    }
}

/// The error for a text that is not an `ExportTraceServiceRequest` in OTLP/JSON.
#[derive(Debug, thiserror::Error)]
#[error("not an ExportTraceServiceRequest in OTLP/JSON")]
pub struct InvalidJson(#[from] serde_json::Error);

/// Converts an `ExportTraceServiceRequest` from OTLP/JSON to protobuf. The concatenation of several
/// results is one request with all their spans.
///
/// # Errors
///
/// Returns an error if the text is not such a request.
pub fn request_from_json(json: &[u8]) -> Result<Vec<u8>, InvalidJson> {
    Ok(json::read(Signal::Traces, json)?)
}
