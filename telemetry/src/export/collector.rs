//! Destinations of an export: a collector behind a circuit breaker, stdout, or an exporter that the
//! program provides.

use std::error::Error;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{fmt, io};

use bytes::Buf as _;
use tokio::time::{Instant, sleep};

use super::breaker::{Breaker, BreakerPermit, BreakerStatus, Cost, Health, slow_after};
use super::headers::{FetchedHeaders, TransportHeaders};
use super::sdk_exporter::SdkExporter;
use crate::config::{Endpoint, ExporterConfig, OtlpConfig};
use crate::otlp::protobuf::InvalidProtobuf;
use crate::otlp::{PartialSuccess, Signal, json};
use crate::output::Output;
use crate::transport::client::{BufList, RequestError};
use crate::transport::{Transport, TransportError};

/// First pause of an open circuit breaker.
pub(crate) const BREAKER_PAUSE: Duration = Duration::from_secs(10);
/// Time limit of an export that no flush waits for, by an exporter that the program provides. The
/// value is the default of `OTEL_EXPORTER_OTLP_TIMEOUT`, which `opentelemetry-otlp` uses too.
const SDK_EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// The reason why a request was not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DestinationError {
    #[error("circuit breaker open: collector not contacted")]
    CircuitOpen,
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("cannot write to stdout")]
    Console(#[from] io::Error),
    #[error(transparent)]
    Sdk(Box<dyn Error + Send + Sync>),
    #[error(transparent)]
    InvalidProtobuf(#[from] InvalidProtobuf),
}

impl DestinationError {
    /// Returns true if the same request will never be accepted.
    pub(crate) fn is_permanent(&self) -> bool {
        matches!(self, Self::Transport(TransportError::NonRetryable(_)))
    }
}

/// The future of [`Destination::send`].
pub(crate) type SendFuture<'a> =
    Pin<Box<dyn Future<Output = Result<PartialSuccess, DestinationError>> + Send + 'a>>;

/// The destination of one signal's requests.
#[derive(Debug)]
pub(crate) enum Destination {
    Collector(Box<Collector>),
    Console(Console),
    /// An exporter that the program provides.
    Sdk(Box<dyn SdkExporter>),
}

impl Destination {
    /// Returns `None` if the signal is not exported, or if an exporter that the program provides
    /// exports it. `first_pause` is the time for which the circuit breaker first stays open.
    pub(crate) fn new(
        signal: Signal,
        exporter: &ExporterConfig,
        fetched_headers: Option<&Arc<FetchedHeaders>>,
        first_pause: Duration,
        output: &Output,
    ) -> Option<Self> {
        let console = || Console {
            signal,
            output: output.clone(),
        };
        let collector = |otlp: &OtlpConfig, console| {
            Self::Collector(Box::new(Collector {
                endpoint: otlp.endpoint.clone(),
                transport: Transport::new(signal, otlp),
                headers: fetched_headers.cloned().map(TransportHeaders::new),
                breaker: Breaker::new(otlp.endpoint.to_string(), first_pause),
                console,
            }))
        };
        match exporter {
            ExporterConfig::None | ExporterConfig::Sdk(_) => None,
            ExporterConfig::Console => Some(Self::Console(console())),
            ExporterConfig::Otlp(otlp) => Some(collector(otlp, None)),
            ExporterConfig::OtlpAndConsole(otlp) => Some(collector(otlp, Some(console()))),
        }
    }

    /// Returns the console exporter that writes each record once in addition to the collector, even
    /// if the collector fails.
    pub(crate) fn additional_console(&self) -> Option<&Console> {
        match self {
            Self::Collector(collector) => collector.console.as_ref(),
            Self::Console(_) | Self::Sdk(_) => None,
        }
    }

    /// Returns the deadline of a request that is sent now.
    pub(crate) fn request_deadline(&self) -> Instant {
        match self {
            Self::Collector(collector) => collector.transport.request_deadline(),
            Self::Console(_) => Instant::now(),
            Self::Sdk(_) => Instant::now() + SDK_EXPORT_TIMEOUT,
        }
    }

    /// Returns the state of the circuit breaker, which stdout does not have.
    pub(crate) fn breaker_status(&self) -> Option<BreakerStatus> {
        self.breaker().map(Breaker::status)
    }

    fn breaker(&self) -> Option<&Breaker> {
        match self {
            Self::Collector(collector) => Some(&collector.breaker),
            Self::Console(_) => None,
            Self::Sdk(exporter) => Some(exporter.breaker()),
        }
    }

    /// Returns false while the circuit breaker is open.
    pub(crate) fn accepts_requests(&self) -> bool {
        self.breaker()
            .is_none_or(|breaker| breaker.would_permit(SystemTime::now()))
    }

    /// Sends an `Export…ServiceRequest` and returns the acknowledgement. Returns at `deadline` at
    /// the latest, and immediately if the circuit breaker is open.
    ///
    /// The future is boxed, because each caller would otherwise compile its own copy.
    pub(crate) fn send(&self, request: BufList, deadline: Instant) -> SendFuture<'_> {
        match self {
            Self::Collector(collector) => Box::pin(collector.send(request, deadline)),
            Self::Console(console) => Box::pin(ready(console.write(request))),
            Self::Sdk(exporter) => exporter.send(request, deadline),
        }
    }

    /// Shuts down an exporter that the program provides. The other destinations have nothing to
    /// shut down.
    pub(crate) fn shutdown(&self) {
        if let Self::Sdk(exporter) = self {
            exporter.shutdown();
        }
    }
}

/// Writes the endpoint without credentials, as [`Endpoint`] does, or the type of the exporter.
impl fmt::Display for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Collector(collector) => collector.endpoint.fmt(formatter),
            Self::Console(_) => formatter.write_str("stdout"),
            Self::Sdk(exporter) => formatter.write_str(exporter.name()),
        }
    }
}

/// An exporter to stdout. Each request is one line of OTLP/JSON (OpenTelemetry specification,
/// "OpenTelemetry Protocol File Exporter").
#[derive(Debug)]
pub(crate) struct Console {
    signal: Signal,
    output: Output,
}

impl Console {
    /// Writes an `Export…ServiceRequest`.
    pub(crate) fn write(&self, mut request: BufList) -> Result<PartialSuccess, DestinationError> {
        let request = request.copy_to_bytes(request.remaining());
        let mut line = Vec::with_capacity(2 * request.len());
        json::request(&mut line, self.signal, &request)?;
        line.push(b'\n');
        self.output.write(|out| out.write_all(&line))?;
        Ok(PartialSuccess::default())
    }
}

/// A collector and the state of its circuit breaker.
#[derive(Debug)]
pub(crate) struct Collector {
    endpoint: Endpoint,
    transport: Transport,
    /// `None` if no headers are fetched at run time.
    headers: Option<TransportHeaders>,
    breaker: Breaker,
    console: Option<Console>,
}

impl Collector {
    /// Sends a request, and retries it once if the failure may be temporary: immediately, or after
    /// the collector's `Retry-After` if that is before the deadline.
    async fn send(
        &self,
        request: BufList,
        deadline: Instant,
    ) -> Result<PartialSuccess, DestinationError> {
        let permit = self.breaker.acquire(SystemTime::now());
        let permit = permit.ok_or(DestinationError::CircuitOpen)?;
        let headers = self.headers.as_ref();
        let version = match headers {
            Some(headers) => headers.update(&self.transport, deadline).await,
            None => 0,
        };
        let mut last = self.send_twice(&permit, request.clone(), deadline).await;
        // An expired key: the request may succeed with headers that are fetched now.
        if last.is_unauthorized()
            && let Some(headers) = headers
            && headers.refetch(&self.transport, version, deadline).await
        {
            last = self.attempt(&permit, request, deadline).await;
        }
        permit.report(health(&last.outcome), last.cost, SystemTime::now());
        Ok(last.outcome?)
    }

    async fn send_twice(
        &self,
        permit: &BreakerPermit<'_>,
        request: BufList,
        deadline: Instant,
    ) -> Attempt {
        let first = self.attempt(permit, request.clone(), deadline).await;
        let delay = match &first.outcome {
            Err(error) if !permit.is_probe() => retry_delay(error),
            _ => None,
        };
        match delay {
            Some(Duration::ZERO) => {}
            Some(delay) if Instant::now() + delay < deadline => sleep(delay).await,
            _ => return first,
        }
        self.attempt(permit, request, deadline).await
    }

    /// Sends the request once. A probe must not use up the time of a flush, so it ends when its
    /// request would count as slow.
    async fn attempt(
        &self,
        permit: &BreakerPermit<'_>,
        request: BufList,
        deadline: Instant,
    ) -> Attempt {
        let (began, bytes) = (Instant::now(), request.remaining());
        let request_deadline = if permit.is_probe() {
            deadline.min(began + slow_after(bytes))
        } else {
            deadline
        };
        let outcome = self.transport.send(request, request_deadline).await;
        let cost = Cost {
            time: began.elapsed(),
            limit: request_deadline.duration_since(began),
            bytes,
        };
        Attempt { outcome, cost }
    }
}

/// The outcome of sending a request once.
struct Attempt {
    outcome: Result<PartialSuccess, TransportError>,
    cost: Cost,
}

impl Attempt {
    fn is_unauthorized(&self) -> bool {
        matches!(&self.outcome, Err(error) if error.is_unauthorized())
    }
}

/// Returns the delay before the request is retried, or `None` if it is not.
fn retry_delay(error: &TransportError) -> Option<Duration> {
    match error {
        // The same key will not be accepted a moment later.
        error if error.is_unauthorized() => None,
        TransportError::Retryable { retry_after, .. } => Some(retry_after.unwrap_or_default()),
        TransportError::Request(RequestError::Broken(_)) => Some(Duration::ZERO),
        TransportError::Request(_)
        | TransportError::NonRetryable(_)
        | TransportError::WrongEndpoint(_)
        | TransportError::Unacknowledged { .. } => None,
    }
}

/// Returns the collector's health after a request with this outcome. A wrong endpoint counts as
/// `Failed`, not as `Rejected`, because its error already names the probable cause.
fn health(outcome: &Result<PartialSuccess, TransportError>) -> Health {
    match outcome {
        Ok(_) => Health::Accepted,
        Err(TransportError::Retryable {
            retry_after: Some(time),
            ..
        }) => Health::RetryAfter(*time),
        Err(TransportError::NonRetryable(_)) => Health::Rejected,
        Err(_) => Health::Failed,
    }
}
