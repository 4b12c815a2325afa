//! An OTLP collector: takes all three signals over HTTP, in protobuf, and keeps them apart, with
//! the moments of their arrival.

use std::future::pending;
use std::io::{self, Read as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode as Code};

use crate::server::{Answered, CutOff, Port, Server};

mod behaviour;
mod common;
mod log_record;
mod metric;
mod signal;
mod span;

pub use behaviour::{Answer, Behaviour};
pub use common::{Resource, Scope, Undecodable, Value};
pub use log_record::LogRecord;
pub use metric::{AggregationTemporality, Metric, Point, PointValue};
pub use signal::Signal;
pub use span::{Link, Span, SpanEvent, SpanKind, Status, StatusCode};

const PROTOBUF: &str = "application/x-protobuf";

/// A collector on a free loopback port, which ends when this is dropped.
#[derive(Debug)]
pub struct Collector {
    shared: Arc<Shared>,
    port: Port,
    /// Nothing while it is [`down`](Self::down).
    server: Mutex<Option<Server>>,
}

#[derive(Debug)]
struct Shared {
    traces: Mutex<Desk>,
    metrics: Mutex<Desk>,
    logs: Mutex<Desk>,
}

/// What is done to one signal, and what has come of it.
#[derive(Debug)]
struct Desk {
    behaviour: Behaviour,
    exports: Vec<Export>,
}

/// One request, as it came.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Export {
    /// What it is for.
    pub signal: Signal,
    /// When its last byte had been read.
    pub arrived_at: Instant,
    /// How it was or is being answered.
    pub answer: Answer,
    /// The request's body, decompressed.
    pub body: Bytes,
    /// How many bytes the body had on the wire.
    pub wire_bytes: usize,
}

impl Export {
    /// The spans in it.
    ///
    /// # Errors
    ///
    /// When the body is not what OTLP says, or of another signal.
    pub fn spans(&self) -> Result<Vec<Span>, Undecodable> {
        span::decode(&self.body, self.arrived_at)
    }
}

impl Collector {
    /// Listens, and answers every signal as told.
    ///
    /// # Errors
    ///
    /// When there is no port.
    pub async fn start(behaviour: impl Into<Behaviour>) -> io::Result<Self> {
        let collector = Self::start_down(behaviour).await?;
        collector.up().await?;
        Ok(collector)
    }

    /// Has a port, and refuses connections until it is brought [`up`](Self::up).
    ///
    /// # Errors
    ///
    /// When there is no port.
    pub async fn start_down(behaviour: impl Into<Behaviour>) -> io::Result<Self> {
        let behaviour = behaviour.into();
        let desk = || {
            Mutex::new(Desk {
                behaviour,
                exports: Vec::new(),
            })
        };
        Ok(Self {
            shared: Arc::new(Shared {
                traces: desk(),
                metrics: desk(),
                logs: desk(),
            }),
            port: Port::reserve()?,
            server: Mutex::default(),
        })
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` has to be: a literal address, which nobody needs to
    /// resolve.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.port.address)
    }

    /// Answers from here on as told, whatever the signal.
    pub fn behave(&self, behaviour: impl Into<Behaviour>) {
        let behaviour = behaviour.into();
        for signal in Signal::ALL {
            self.behave_to(signal, behaviour);
        }
    }

    /// Answers this signal from here on as told.
    pub fn behave_to(&self, signal: Signal, behaviour: impl Into<Behaviour>) {
        self.shared.desk(signal).behaviour = behaviour.into();
    }

    /// Closes the port and breaks every connection, at once: whoever connects is refused. What has
    /// arrived is kept.
    pub async fn down(&self) {
        let server = lock(&self.server).take();
        if let Some(server) = server {
            server.stop().await;
        }
    }

    /// Listens again, on the same port.
    ///
    /// # Errors
    ///
    /// When the system does not let it.
    pub async fn up(&self) -> io::Result<()> {
        let kept = Arc::clone(&self.shared);
        let listener = self.port.listen()?;
        let server = Server::serve(listener, move |request| answer(Arc::clone(&kept), request))?;
        *lock(&self.server) = Some(server);
        Ok(())
    }

    /// Every request of this signal so far, in the order of arrival.
    #[must_use]
    pub fn exports(&self, signal: Signal) -> Vec<Export> {
        self.shared.desk(signal).exports.clone()
    }

    /// Every span in the requests that were accepted. Not those of requests that got an error, or
    /// no answer.
    ///
    /// # Errors
    ///
    /// When a body is not what OTLP says.
    pub fn spans(&self) -> Result<Vec<Span>, Undecodable> {
        self.accepted(Signal::Traces, span::decode)
    }

    /// Every metric in the requests that were accepted, as often as it was sent.
    ///
    /// # Errors
    ///
    /// When a body is not what OTLP says.
    pub fn metrics(&self) -> Result<Vec<Metric>, Undecodable> {
        self.accepted(Signal::Metrics, metric::decode)
    }

    /// Every log record in the requests that were accepted.
    ///
    /// # Errors
    ///
    /// When a body is not what OTLP says.
    pub fn log_records(&self) -> Result<Vec<LogRecord>, Undecodable> {
        self.accepted(Signal::Logs, log_record::decode)
    }

    fn accepted<T>(
        &self,
        signal: Signal,
        decode: fn(&Bytes, Instant) -> Result<Vec<T>, Undecodable>,
    ) -> Result<Vec<T>, Undecodable> {
        let mut found = Vec::new();
        for export in self.exports(signal) {
            if export.answer.accepts() {
                found.extend(decode(&export.body, export.arrived_at)?);
            }
        }
        Ok(found)
    }

    /// Forgets what has arrived.
    pub fn clear(&self) {
        for signal in Signal::ALL {
            self.shared.desk(signal).exports.clear();
        }
    }
}

impl Shared {
    fn desk(&self, signal: Signal) -> MutexGuard<'_, Desk> {
        lock(match signal {
            Signal::Traces => &self.traces,
            Signal::Metrics => &self.metrics,
            Signal::Logs => &self.logs,
        })
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Answered {
    let signal = Signal::of_path(request.uri().path());
    let Some(signal) = signal.filter(|_| request.method() == Method::POST) else {
        return Ok(status(Code::NOT_FOUND));
    };
    // Taken for what it is not, a body would decode to nothing, and a test would look for its spans
    // elsewhere.
    let is_gzip = match header(&request, &CONTENT_ENCODING) {
        None => false,
        Some("gzip") => true,
        Some(_) => return Ok(status(Code::UNSUPPORTED_MEDIA_TYPE)),
    };
    if header(&request, &CONTENT_TYPE) != Some(PROTOBUF) {
        return Ok(status(Code::UNSUPPORTED_MEDIA_TYPE));
    }
    let body = request.into_body().collect().await;
    let body = body.map_err(|_| CutOff)?.to_bytes();
    let (arrived_at, wire_bytes) = (Instant::now(), body.len());
    let Some(body) = (if is_gzip {
        decompressed(&body)
    } else {
        Some(body)
    }) else {
        return Ok(status(Code::BAD_REQUEST));
    };
    let answer = {
        let mut desk = shared.desk(signal);
        let answer = desk.behaviour.next();
        desk.exports.push(Export {
            signal,
            arrived_at,
            answer,
            body,
            wire_bytes,
        });
        answer
    };
    give(answer, arrived_at).await
}

async fn give(answer: Answer, arrived_at: Instant) -> Answered {
    match answer {
        Answer::Ok => Ok(success()),
        Answer::After(delay) => {
            tokio::time::sleep_until((arrived_at + delay).into()).await;
            Ok(success())
        }
        Answer::Status(code) => Ok(status(
            Code::from_u16(code).unwrap_or(Code::INTERNAL_SERVER_ERROR),
        )),
        Answer::RetryAfter(seconds) => {
            let mut response = status(Code::SERVICE_UNAVAILABLE);
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
            Ok(response)
        }
        Answer::Disconnect => Err(CutOff),
        Answer::Hang => pending().await,
    }
}

fn decompressed(body: &Bytes) -> Option<Bytes> {
    let mut plain = Vec::new();
    GzDecoder::new(&body[..]).read_to_end(&mut plain).ok()?;
    Some(plain.into())
}

/// The value of a header; one that is no text is as good as an unknown one.
fn header<'a>(request: &'a Request<Incoming>, name: &HeaderName) -> Option<&'a str> {
    Some(request.headers().get(name)?.to_str().unwrap_or("?"))
}

/// The response of each signal's service is, without remarks, an empty message.
fn success() -> Response<Full<Bytes>> {
    let mut response = status(Code::OK);
    let protobuf = HeaderValue::from_static(PROTOBUF);
    response.headers_mut().insert(CONTENT_TYPE, protobuf);
    response
}

fn status(status: Code) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
