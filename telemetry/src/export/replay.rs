//! Sending spilled spans on: what `baton replay` needs of this crate.

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

/// Requests are to be shorter than this: collectors take 4 MiB by default.
pub const MAX_REQUEST_BYTES: usize = crate::export::MAX_REQUEST_BYTES;

/// The way to the collector that spans are exported to.
#[derive(Debug)]
pub struct Sender {
    transport: Transport,
    endpoint: String,
    passed_over: Option<&'static str>,
}

/// Variables of the environment, or an endpoint given in their place, that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidEnvironment(Vec<InvalidSetting>);

/// One of them: a line that names it and says what was expected. Holds no value that may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSetting(String);

impl InvalidEnvironment {
    fn new(problems: Vec<String>) -> Self {
        Self(problems.into_iter().map(InvalidSetting).collect())
    }

    /// All of them.
    #[must_use]
    pub fn settings(&self) -> &[InvalidSetting] {
        &self.0
    }
}

/// One line for each.
impl fmt::Display for InvalidEnvironment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            let separator = if at > 0 { "\n" } else { "" };
            write!(formatter, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidEnvironment {}

/// What became of a request that the collector accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// So many of its spans the collector will not take, now or later.
    pub rejected: u64,
    /// The collector's message about them, or its warning if it rejected none. Empty if it sent
    /// neither.
    pub message: String,
}

/// Why a request was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendFailure {
    /// The collector will never take this request, but perhaps others.
    #[error("{0}")]
    Refused(String),
    /// The collector takes no request with these headers.
    #[error("{0}: are the headers right that OTEL_EXPORTER_OTLP_HEADERS says?")]
    Unauthorized(String),
    /// The endpoint is not that of an OTLP receiver. The text has the response, and the probable
    /// mistake in the configuration.
    #[error("{0}")]
    Misdirected(String),
    /// The same request may succeed later.
    #[error("{text}")]
    Passing {
        /// What happened.
        text: String,
        /// When the collector wants to be asked again, if it says so.
        retry_after: Option<Duration>,
    },
}

impl Sender {
    /// Takes `OTEL_EXPORTER_OTLP_*` as for the export of traces, with `endpoint` in the place of
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` and of its form for traces, if there is one.
    /// `OTEL_SDK_DISABLED` and `OTEL_TRACES_EXPORTER` do not count: whoever sends spans again wants
    /// to.
    ///
    /// # Errors
    /// When something in the environment is wrong: unlike a service, a person can be told.
    pub fn from_env(endpoint: Option<&str>) -> Result<Self, InvalidEnvironment> {
        let replay = config::traces_for_replay(endpoint).map_err(InvalidEnvironment::new)?;
        Ok(Self {
            endpoint: replay.otlp.endpoint.to_string(),
            transport: Transport::new(Signal::Traces, &replay.otlp),
            passed_over: replay.ignored_variable,
        })
    }

    /// The name of a variable that says how a service exports, and that is not read here although
    /// it is set.
    #[must_use]
    pub fn passed_over(&self) -> Option<&'static str> {
        self.passed_over
    }

    /// Where requests go: a URL without secrets.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Sends an `ExportTraceServiceRequest` once, with the time that `OTEL_EXPORTER_OTLP_TIMEOUT`
    /// gives it.
    ///
    /// # Errors
    /// When the collector did not accept it, or did not answer.
    pub async fn send(&self, request: Bytes) -> Result<Accepted, SendFailure> {
        let mut frames = BufList::default();
        frames.push(request);
        let deadline: Instant = self.transport.request_deadline();
        let answer = self.transport.send(frames, deadline).await;
        let answer = answer.map_err(|error| self.failure(error))?;
        Ok(Accepted {
            rejected: answer.rejected,
            message: answer.message,
        })
    }

    fn failure(&self, error: TransportError) -> SendFailure {
        let text = ErrorChain(&error).to_string();
        match error {
            error if error.is_unauthorized() => SendFailure::Unauthorized(text),
            TransportError::WrongEndpoint(_) => SendFailure::Misdirected(text),
            TransportError::NonRetryable(_) => SendFailure::Refused(text),
            TransportError::Retryable { retry_after, .. } => {
                SendFailure::Passing { text, retry_after }
            }
            TransportError::Send(_) | TransportError::Unacknowledged { .. } => {
                SendFailure::Passing {
                    text,
                    retry_after: None,
                }
            }
        }
    }
}

/// OTLP/JSON that is no `ExportTraceServiceRequest`.
#[derive(Debug, thiserror::Error)]
#[error("not OTLP/JSON of traces")]
pub struct InvalidJson(#[from] serde_json::Error);

/// Turns an `ExportTraceServiceRequest` from OTLP/JSON into protobuf. Several of them one behind
/// the other are one request with all spans.
///
/// # Errors
/// When the text is not such a request.
pub fn request_from_json(json: &[u8]) -> Result<Vec<u8>, InvalidJson> {
    Ok(json::read(Signal::Traces, json)?)
}
