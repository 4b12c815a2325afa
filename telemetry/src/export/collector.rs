//! The way to a collector that may be broken.

use std::time::{Duration, SystemTime};
use std::{fmt, io};

use bytes::Buf as _;
use tokio::time::{Instant, sleep};

use self::renewal::Renewal;
use crate::config::{Endpoint, Export, Otlp};
use crate::export::breaker::{Breaker, Cost, Health, Permit, slow};
use crate::otlp::json::{self, Malformed};
use crate::otlp::{PartialSuccess, Signal};
use crate::output::Output;
use crate::transport::client::{Frames, SendError};
use crate::transport::{Transport, TransportError};

mod renewal;

/// Why a request has not been taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UplinkError {
    /// The collector has failed so often that it was not asked.
    #[error("the collector has failed before, and is left alone for a while")]
    LeftAlone,
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("stdout cannot be written to")]
    Console(#[from] io::Error),
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl UplinkError {
    /// The same request will never be taken.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Transport(TransportError::Refused(_)))
    }
}

/// What the exporter of one signal sends through.
#[derive(Debug)]
pub(crate) enum Uplink {
    Collector(Box<Collector>),
    Console(Console),
}

impl Uplink {
    /// `None` where the signal is not exported. A collector that fails again and again is left
    /// alone for `first_pause` at first.
    pub(crate) fn new(
        signal: Signal,
        export: &Export,
        first_pause: Duration,
        output: &Output,
    ) -> Option<Self> {
        let console = || Console {
            signal,
            output: output.clone(),
        };
        let collector = |otlp: &Otlp, console| {
            Self::Collector(Box::new(Collector {
                endpoint: otlp.endpoint.clone(),
                transport: Transport::new(signal, otlp),
                renewal: Renewal::new(otlp),
                breaker: Breaker::new(otlp.endpoint.to_string(), first_pause),
                console,
            }))
        };
        match export {
            Export::Nowhere => None,
            Export::Console => Some(Self::Console(console())),
            Export::Otlp(otlp) => Some(collector(otlp, None)),
            Export::OtlpAndConsole(otlp) => Some(collector(otlp, Some(console()))),
        }
    }

    /// Console exporter that writes each record once in addition to the collector, even if the
    /// collector fails.
    pub(crate) fn second_console(&self) -> Option<&Console> {
        match self {
            Self::Collector(collector) => collector.console.as_ref(),
            Self::Console(_) => None,
        }
    }

    /// The end of one request's time, were it sent now.
    pub(crate) fn patience(&self) -> Instant {
        match self {
            Self::Collector(collector) => collector.transport.patience(),
            Self::Console(_) => Instant::now(),
        }
    }

    /// Whether a request would be sent now: the collector is not left alone.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::Collector(collector) => collector.breaker.admits(SystemTime::now()),
            Self::Console(_) => true,
        }
    }

    /// Sends an `Export…ServiceRequest`, and returns the acknowledgement. Returns at `deadline` at
    /// the latest, and at once if the circuit breaker is open.
    pub(crate) async fn send(
        &self,
        request: Frames,
        deadline: Instant,
    ) -> Result<PartialSuccess, UplinkError> {
        match self {
            Self::Collector(collector) => collector.send(request, deadline).await,
            Self::Console(console) => console.write(request),
        }
    }
}

/// For the log: holds no credentials, see [`Endpoint`].
impl fmt::Display for Uplink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Collector(collector) => collector.endpoint.fmt(formatter),
            Self::Console(_) => formatter.write_str("stdout"),
        }
    }
}

/// Stdout in the place of a collector: each request is a line of OTLP/JSON, as the OTLP file
/// exporter's specification has it.
#[derive(Debug)]
pub(crate) struct Console {
    signal: Signal,
    output: Output,
}

impl Console {
    /// Writes an `Export…ServiceRequest`.
    pub(crate) fn write(&self, mut request: Frames) -> Result<PartialSuccess, UplinkError> {
        let request = request.copy_to_bytes(request.remaining());
        let mut line = Vec::with_capacity(2 * request.len());
        json::request(&mut line, self.signal, &request)?;
        line.push(b'\n');
        self.output.write(|out| out.write_all(&line))?;
        Ok(PartialSuccess::default())
    }
}

/// A collector, and what is known about how it fares.
#[derive(Debug)]
pub(crate) struct Collector {
    endpoint: Endpoint,
    transport: Transport,
    /// Of headers that change while the process runs.
    renewal: Option<Renewal>,
    breaker: Breaker,
    console: Option<Console>,
}

impl Collector {
    /// A collector that could not take the request is asked a second time: at once, or when it
    /// wants to be asked again, if that is before the deadline.
    async fn send(
        &self,
        request: Frames,
        deadline: Instant,
    ) -> Result<PartialSuccess, UplinkError> {
        let permit = self.breaker.ask(SystemTime::now());
        let permit = permit.ok_or(UplinkError::LeftAlone)?;
        let renewal = self.renewal.as_ref();
        let known = match renewal {
            Some(renewal) => renewal.catch_up(&self.transport, deadline).await,
            None => 0,
        };
        let mut last = self.send_twice(&permit, request.clone(), deadline).await;
        if let (Some(renewal), true) = (renewal, is_unauthorized(&last.outcome))
            && renewal.renew(&self.transport, known, deadline).await
        {
            last = self.attempt(&permit, request, deadline).await;
        }
        permit.settle(health(&last.outcome), last.cost, SystemTime::now());
        Ok(last.outcome?)
    }

    async fn send_twice(&self, permit: &Permit<'_>, request: Frames, deadline: Instant) -> Attempt {
        let first = self.attempt(permit, request.clone(), deadline).await;
        let pause = match &first.outcome {
            Err(error) if !permit.is_probe() => pause_before_second(error),
            _ => None,
        };
        match pause {
            Some(Duration::ZERO) => {}
            Some(pause) if Instant::now() + pause < deadline => sleep(pause).await,
            _ => return first,
        }
        self.attempt(permit, request, deadline).await
    }

    /// Sends the request once. A probe has less time than the flush, but as much as a collector may
    /// take that is not slow.
    async fn attempt(&self, permit: &Permit<'_>, request: Frames, deadline: Instant) -> Attempt {
        let (began, bytes) = (Instant::now(), request.remaining());
        let until = match permit.is_probe() {
            true => deadline.min(began + slow(bytes)),
            false => deadline,
        };
        let outcome = self.transport.send(request, until).await;
        let cost = Cost {
            time: began.elapsed(),
            limit: until.duration_since(began),
            bytes,
        };
        Attempt { outcome, cost }
    }
}

/// A request that was sent once.
struct Attempt {
    outcome: Result<PartialSuccess, TransportError>,
    cost: Cost,
}

fn is_unauthorized(outcome: &Result<PartialSuccess, TransportError>) -> bool {
    matches!(outcome, Err(error) if error.is_unauthorized())
}

/// How long to wait before the same request is sent again; `None` where that is no use.
fn pause_before_second(error: &TransportError) -> Option<Duration> {
    match error {
        // The same key will not be accepted a moment later.
        error if error.is_unauthorized() => None,
        TransportError::Unavailable { retry_after, .. } => Some(retry_after.unwrap_or_default()),
        TransportError::Send(SendError::Broken(_)) => Some(Duration::ZERO),
        TransportError::Send(_)
        | TransportError::Refused(_)
        | TransportError::WrongEndpoint(_)
        | TransportError::Unacknowledged { .. } => None,
    }
}

/// Returns the collector's health after a request with this outcome. A wrong endpoint counts as
/// `Failed`, not as `Refused`, because its error already names the probable cause.
fn health(outcome: &Result<PartialSuccess, TransportError>) -> Health {
    match outcome {
        Ok(_) => Health::Accepted,
        Err(TransportError::Unavailable {
            retry_after: Some(time),
            ..
        }) => Health::Away(*time),
        Err(TransportError::Refused(_)) => Health::Refused,
        Err(_) => Health::Failed,
    }
}
