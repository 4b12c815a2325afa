//! An OTLP collector: takes traces over HTTP, in protobuf, and keeps them with the moment of their arrival.

mod behaviour;
mod span;

use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use hyper::{Method, Request, Response};

use crate::server::{Answered, CutOff, Server};

pub use behaviour::{Answer, Behaviour};
pub use span::{
    Link, Resource, Scope, Span, SpanEvent, SpanKind, Status, StatusCode, Undecodable, Value,
};

const TRACES: &str = "/v1/traces";
const PROTOBUF: &str = "application/x-protobuf";

/// A collector on a free loopback port, which ends when this is dropped.
#[derive(Debug)]
pub struct Collector {
    shared: Arc<Shared>,
    server: Server,
}

#[derive(Debug)]
struct Shared {
    behaviour: Mutex<Behaviour>,
    exports: Mutex<Vec<Export>>,
}

/// One request, as it came.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Export {
    /// When its last byte had been read.
    pub arrived_at: Instant,
    /// How it was or is being answered.
    pub answer: Answer,
    /// The request's body.
    pub body: Bytes,
}

impl Export {
    /// The spans in it.
    ///
    /// # Errors
    ///
    /// When the body is not what OTLP says.
    pub fn spans(&self) -> Result<Vec<Span>, Undecodable> {
        span::decode(&self.body, self.arrived_at)
    }
}

impl Collector {
    /// Listens, and answers as told.
    ///
    /// # Errors
    ///
    /// When there is no port.
    pub async fn start(behaviour: impl Into<Behaviour>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            behaviour: Mutex::new(behaviour.into()),
            exports: Mutex::default(),
        });
        let kept = Arc::clone(&shared);
        let server = Server::start(move |request| answer(Arc::clone(&kept), request)).await?;
        Ok(Self { shared, server })
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` has to be: a literal address, which nobody needs to resolve.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Answers from here on as told.
    pub fn behave(&self, behaviour: impl Into<Behaviour>) {
        *lock(&self.shared.behaviour) = behaviour.into();
    }

    /// Every request for traces so far, in the order of arrival.
    #[must_use]
    pub fn exports(&self) -> Vec<Export> {
        lock(&self.shared.exports).clone()
    }

    /// Every span in the requests that were accepted. Not those of requests that got an error, or no answer.
    ///
    /// # Errors
    ///
    /// When a body is not what OTLP says.
    pub fn spans(&self) -> Result<Vec<Span>, Undecodable> {
        let mut spans = Vec::new();
        for export in self.exports() {
            if export.answer.accepts() {
                spans.extend(export.spans()?);
            }
        }
        Ok(spans)
    }

    /// Forgets what has arrived.
    pub fn clear(&self) {
        lock(&self.shared.exports).clear();
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Answered {
    if request.method() != Method::POST || request.uri().path() != TRACES {
        return Ok(status(hyper::StatusCode::NOT_FOUND));
    }
    // Taken for what it is not, a body would decode to nothing, and a test would look for its spans elsewhere.
    if header(&request, &CONTENT_TYPE) != Some(PROTOBUF)
        || request.headers().contains_key(CONTENT_ENCODING)
    {
        return Ok(status(hyper::StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let body = request.into_body().collect().await;
    let body = body.map_err(|_| CutOff)?.to_bytes();
    let arrived_at = Instant::now();
    let answer = lock(&shared.behaviour).next();
    lock(&shared.exports).push(Export {
        arrived_at,
        answer,
        body,
    });
    match answer {
        Answer::Ok => Ok(success()),
        Answer::After(delay) => {
            tokio::time::sleep_until((arrived_at + delay).into()).await;
            Ok(success())
        }
        Answer::Status(code) => Ok(status(
            hyper::StatusCode::from_u16(code).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR),
        )),
        Answer::Disconnect => Err(CutOff),
        Answer::Hang => pending().await,
    }
}

fn header<'a>(request: &'a Request<Incoming>, name: &HeaderName) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// An `ExportTraceServiceResponse` without remarks is an empty message.
fn success() -> Response<Full<Bytes>> {
    let mut response = status(hyper::StatusCode::OK);
    let protobuf = hyper::header::HeaderValue::from_static(PROTOBUF);
    response.headers_mut().insert(CONTENT_TYPE, protobuf);
    response
}

fn status(status: hyper::StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
