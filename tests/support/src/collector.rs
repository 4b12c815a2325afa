//! An OTLP collector over HTTP with protobuf. Receives all three signals, sends the responses that
//! the test has chosen, and keeps each request with its time of arrival.

use std::future::pending;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use flate2::read::GzDecoder;
use hyper::HeaderMap;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};
use prost::Message;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::server::{Port, Server};

mod behaviour;
mod common;
mod http;
mod log_record;
mod metric;
mod span;

pub use behaviour::{Behaviour, CollectorResponse};
pub use common::{AttributeValue, InvalidExport, Resource, Scope, Signal};
pub use log_record::LogRecord;
pub use metric::{AggregationTemporality, Metric, Point, PointValue};
pub use span::{Link, Span, SpanEvent, SpanKind, Status, StatusCode};

/// A collector on a free loopback port. Dropping it closes the port and all connections.
#[derive(Debug)]
pub struct TestCollector {
    state: Arc<Mutex<CollectorState>>,
    port: Port,
    /// `None` while the collector does not listen.
    server: Mutex<Option<Server>>,
}

#[derive(Debug)]
struct CollectorState {
    /// In the order of [`Signal`].
    rules: [SignalRule; 3],
    exports: Vec<Export>,
    request_count: usize,
    connection_count: usize,
}

#[derive(Debug, Clone)]
struct SignalRule {
    behaviour: Behaviour,
    /// Requests of the signal since the behaviour was set.
    request_count: usize,
}

impl SignalRule {
    fn new(behaviour: Behaviour) -> Self {
        Self {
            behaviour,
            request_count: 0,
        }
    }
}

/// One OTLP request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Export {
    /// The signal that the path names.
    pub signal: Signal,
    /// Method and path, such as `POST /v1/traces`.
    pub target: String,
    /// Time at which the last byte was read.
    pub arrived_at: Instant,
    /// The response, which may not be sent yet.
    pub response: CollectorResponse,
    /// The headers.
    pub headers: HeaderMap,
    /// The decompressed body.
    pub body: Bytes,
    /// Length of the body on the wire.
    pub wire_bytes: usize,
}

impl Export {
    /// Returns the spans in the request.
    ///
    /// # Errors
    ///
    /// Returns an error if the body is not valid OTLP, or belongs to another signal.
    pub fn spans(&self) -> Result<Vec<Span>, InvalidExport> {
        span::decode(&self.body, self.arrived_at)
    }

    /// Returns the value of a header, or `None` if it is missing or not text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl TestCollector {
    /// Starts a collector that responds to every signal with this behaviour.
    ///
    /// # Errors
    ///
    /// Returns an error if no port is free.
    pub async fn start(behaviour: impl Into<Behaviour>) -> io::Result<Self> {
        let collector = Self::bind(behaviour)?;
        collector.listen().await?;
        Ok(collector)
    }

    /// Reserves a port on which connections are refused until [`listen`](Self::listen) is called.
    ///
    /// # Errors
    ///
    /// Returns an error if no port is free.
    pub fn bind(behaviour: impl Into<Behaviour>) -> io::Result<Self> {
        let rule = SignalRule::new(behaviour.into());
        let state = CollectorState {
            rules: [rule.clone(), rule.clone(), rule],
            exports: Vec::new(),
            request_count: 0,
            connection_count: 0,
        };
        Ok(Self {
            state: Arc::new(Mutex::new(state)),
            port: Port::reserve()?,
            server: Mutex::default(),
        })
    }

    /// Listens on the port, for the first time or again.
    ///
    /// # Errors
    ///
    /// Returns an error if the system refuses to listen.
    pub async fn listen(&self) -> io::Result<()> {
        let state = Arc::clone(&self.state);
        let server = Server::start(self.port.listen()?, move |stream| {
            let state = Arc::clone(&state);
            async move {
                // Clients break connections, also in the middle of a request.
                let _ = serve(stream, &state).await;
            }
        })?;
        *lock(&self.server) = Some(server);
        Ok(())
    }

    /// Closes the port and all connections. Further connections are refused; the exports are kept.
    pub async fn stop_listening(&self) {
        let server = lock(&self.server).take();
        if let Some(server) = server {
            server.stop().await;
        }
    }

    /// Returns the address that the collector listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address
    }

    /// Returns the value for `OTEL_EXPORTER_OTLP_ENDPOINT`. Its host is an address, so that no name
    /// has to be resolved.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.port.address)
    }

    /// Responds to further requests of every signal with this behaviour.
    pub fn set_behaviour(&self, behaviour: impl Into<Behaviour>) {
        let behaviour = behaviour.into();
        for signal in Signal::ALL {
            self.set_behaviour_for(signal, behaviour.clone());
        }
    }

    /// Responds to further requests of one signal with this behaviour.
    pub fn set_behaviour_for(&self, signal: Signal, behaviour: impl Into<Behaviour>) {
        self.state().rules[signal as usize] = SignalRule::new(behaviour.into());
    }

    /// Returns every request of this signal in the order of arrival.
    #[must_use]
    pub fn exports(&self, signal: Signal) -> Vec<Export> {
        let state = self.state();
        let of_signal = state
            .exports
            .iter()
            .filter(|export| export.signal == signal);
        of_signal.cloned().collect()
    }

    /// Returns every request of every signal in the order of arrival.
    #[must_use]
    pub fn all_exports(&self) -> Vec<Export> {
        self.state().exports.clone()
    }

    /// Returns the number of requests, including those that are not OTLP exports.
    #[must_use]
    pub fn request_count(&self) -> usize {
        self.state().request_count
    }

    /// Returns the number of connections that were accepted.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.state().connection_count
    }

    /// Returns the spans of all acknowledged requests.
    ///
    /// # Errors
    ///
    /// Returns an error if a body is not valid OTLP.
    pub fn spans(&self) -> Result<Vec<Span>, InvalidExport> {
        self.decode_acknowledged(Signal::Traces, span::decode)
    }

    /// Returns the metrics of all acknowledged requests, one entry per request that has the metric.
    ///
    /// # Errors
    ///
    /// Returns an error if a body is not valid OTLP.
    pub fn metrics(&self) -> Result<Vec<Metric>, InvalidExport> {
        self.decode_acknowledged(Signal::Metrics, metric::decode)
    }

    /// Returns the log records of all acknowledged requests.
    ///
    /// # Errors
    ///
    /// Returns an error if a body is not valid OTLP.
    pub fn log_records(&self) -> Result<Vec<LogRecord>, InvalidExport> {
        self.decode_acknowledged(Signal::Logs, log_record::decode)
    }

    /// Returns all acknowledged requests of a signal as messages of `opentelemetry-proto`.
    ///
    /// # Errors
    ///
    /// Returns an error if a body is not such a message.
    pub fn messages<M: Message + Default>(&self, signal: Signal) -> Result<Vec<M>, InvalidExport> {
        let decode = |body: &Bytes, _| Ok(vec![M::decode(body.clone())?]);
        self.decode_acknowledged(signal, decode)
    }

    fn decode_acknowledged<T>(
        &self,
        signal: Signal,
        decode: impl Fn(&Bytes, Instant) -> Result<Vec<T>, InvalidExport>,
    ) -> Result<Vec<T>, InvalidExport> {
        let mut found = Vec::new();
        for export in self.exports(signal) {
            if export.response.is_success() {
                found.extend(decode(&export.body, export.arrived_at)?);
            }
        }
        Ok(found)
    }

    /// Discards the exports.
    pub fn clear(&self) {
        self.state().exports.clear();
    }

    fn state(&self) -> MutexGuard<'_, CollectorState> {
        lock(&self.state)
    }
}

/// Serves one connection until the client or a response closes it.
async fn serve(stream: TcpStream, state: &Mutex<CollectorState>) -> io::Result<()> {
    lock(state).connection_count += 1;
    let mut stream = BufReader::new(stream);
    while let Some(request) = http::read_request(&mut stream).await? {
        let arrived_at = Instant::now();
        let chosen = lock(state).receive(request, arrived_at);
        let response = match chosen {
            CollectorResponse::Ok | CollectorResponse::OkThenClose => http::success(),
            CollectorResponse::Delay(delay) => {
                tokio::time::sleep_until((arrived_at + delay).into()).await;
                http::success()
            }
            CollectorResponse::PartialSuccess(rejected) => http::partial_success(rejected),
            CollectorResponse::Status(code) => http::status(code, ""),
            CollectorResponse::RetryAfter(seconds) => {
                http::status(503, &format!("retry-after: {seconds}\r\n"))
            }
            CollectorResponse::Raw(response) => response.into(),
            CollectorResponse::Hang => pending().await,
            CollectorResponse::Disconnect => return Ok(()),
        };
        stream.write_all(&response).await?;
        if chosen == CollectorResponse::OkThenClose {
            return Ok(());
        }
    }
    Ok(())
}

impl CollectorState {
    /// Keeps a request if it is an OTLP export, and chooses the response to it.
    fn receive(&mut self, request: http::Request, arrived_at: Instant) -> CollectorResponse {
        self.request_count += 1;
        let Some(signal) = Signal::from_target(&request.target) else {
            return CollectorResponse::Status(404);
        };
        let header = |name| Some(request.headers.get(name)?.to_str().unwrap_or_default());
        // A body that is decoded by the wrong rules may look empty, which would hide the cause of a
        // failed test.
        let body = match (header(CONTENT_TYPE), header(CONTENT_ENCODING)) {
            (Some(http::PROTOBUF), None) => Some(request.body.clone()),
            (Some(http::PROTOBUF), Some("gzip")) => decompress(&request.body),
            _ => return CollectorResponse::Status(415),
        };
        let Some(body) = body else {
            return CollectorResponse::Status(400);
        };
        let rule = &mut self.rules[signal as usize];
        let response = rule
            .behaviour
            .choose(rule.request_count, &request.headers, &body);
        rule.request_count += 1;
        self.exports.push(Export {
            signal,
            target: request.target,
            arrived_at,
            response,
            headers: request.headers,
            wire_bytes: request.body.len(),
            body,
        });
        response
    }
}

fn decompress(body: &Bytes) -> Option<Bytes> {
    let mut plain = Vec::new();
    GzDecoder::new(&body[..]).read_to_end(&mut plain).ok()?;
    Some(plain.into())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
