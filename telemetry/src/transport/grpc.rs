//! OTLP over gRPC, on hyper's HTTP/2.
//!
//! The messages are encoded already and the one call is unary, so that nothing of gRPC is left but
//! a prefix of five bytes and a status in the trailers. tonic's channel would hand requests to a
//! task that holds the connection, and can neither be told to give a connection up nor be asked
//! whether a request was sent on an old one; after a freeze both matter. A connection has tasks of
//! hyper's, which answer pings, and send them while nobody exports. Where the process is frozen
//! they stand still, and nothing waits for them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use ::http::uri::Scheme;
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::{Instant, timeout_at};

use self::answer::Answer;
use self::message::Message;
use super::Sending;
use super::wrong_endpoint::Hint;
use crate::otlp::Signal;
use crate::transport::client::{BufList, Dialed, Dialer, SendError};

mod answer;
mod message;
mod retry_info;
mod status;

pub(crate) use status::GrpcStatus;

/// How long a connection is silent before a ping asks whether there is still somebody. Below the
/// idle times of load balancers and address translation (350 s on AWS, 240 s elsewhere), and not
/// more often than they demand: servers on grpc-go, the Collector among them, close a connection on
/// which more than two such pings come without a call between them, which costs the next export a
/// handshake.
const PING_INTERVAL: Duration = Duration::from_secs(60);
/// How long the answer may take. Whoever needs longer for a few bytes answers no export in time
/// either.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

const CONTENT_TYPE: (HeaderName, HeaderValue) = (
    header::CONTENT_TYPE,
    HeaderValue::from_static("application/grpc"),
);
/// By it servers know a client that reads trailers.
const TRAILERS: (HeaderName, HeaderValue) = (header::TE, HeaderValue::from_static("trailers"));
/// Of the message; the body as such is not compressed.
const ENCODING: (HeaderName, HeaderValue) = (
    HeaderName::from_static("grpc-encoding"),
    HeaderValue::from_static("gzip"),
);

/// When a connection is asked whether it still stands.
#[derive(Debug, Clone, Copy)]
struct Pings {
    interval: Duration,
    timeout: Duration,
}

/// What is sent, once or twice.
struct Call {
    message: BufList,
    is_compressed: bool,
    headers: HeaderMap,
}

/// Makes the calls of one signal. Cheap to create, as [`Dialer`] is.
pub(super) struct Client {
    dialer: Dialer,
    uri: Uri,
    headers: Mutex<HeaderMap>,
    /// Carries all calls at once.
    kept: Mutex<Option<SendRequest<Message>>>,
    pings: Pings,
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut client = formatter.debug_struct("Client");
        client.field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn new(signal: Signal, dialer: Dialer) -> Self {
        let scheme = match dialer.endpoint.tls {
            true => Scheme::HTTPS,
            false => Scheme::HTTP,
        };
        // A path of the endpoint means nothing to gRPC (OTLP exporter specification, "Configuration
        // Options").
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(dialer.endpoint.authority())
            .path_and_query(method(signal));
        Self {
            // An `Endpoint`'s authority consists of a parsed host and a number, so that this is a
            // URI; what is none, hyper does not send.
            uri: uri.build().unwrap_or_default(),
            dialer,
            headers: Mutex::default(),
            kept: Mutex::default(),
            pings: Pings {
                interval: PING_INTERVAL,
                timeout: PING_TIMEOUT,
            },
        }
    }

    /// Takes headers for all further calls, in place of those of the same name, and beside those of
    /// gRPC itself.
    pub(super) fn set_headers(&self, mut headers: HeaderMap, is_compressed: bool) {
        for name in [header::HOST, header::CONTENT_LENGTH] {
            headers.remove(name);
        }
        let encoding = is_compressed.then_some(ENCODING);
        for (name, value) in [CONTENT_TYPE, TRAILERS].into_iter().chain(encoding) {
            headers.insert(name, value);
        }
        let mut all = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(headers);
    }

    /// Makes a call, until `deadline`. On the heap, and not as an `async fn`: hyper would become
    /// part of every crate in which a flush is polled.
    pub(super) fn send(
        &self,
        message: BufList,
        is_compressed: bool,
        deadline: Instant,
        hint: Hint,
    ) -> Sending<'_> {
        let headers = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
        let call = Call {
            message,
            is_compressed,
            headers: headers.clone(),
        };
        Box::pin(async move {
            match timeout_at(deadline, self.answer(&call)).await {
                Ok(answer) => answer?.accepted(&call.headers, hint),
                Err(_) => {
                    // Where packets vanish without a word, every further call would wait for its
                    // deadline too.
                    *self.kept() = None;
                    Err(SendError::Timeout.into())
                }
            }
        })
    }

    /// A kept connection may have died while the process was frozen. That is seen only by using it,
    /// so a call whose connection breaks is made again at once on a new one.
    async fn answer(&self, call: &Call) -> Result<Answer, SendError> {
        let kept = self.kept().clone();
        if let Some(kept) = kept.filter(|kept| !kept.is_closed()) {
            match self.call(kept, call).await {
                Err(SendError::Broken(_)) => {}
                outcome => return outcome,
            }
        }
        let fresh = self.open().await?;
        *self.kept() = Some(fresh.clone());
        self.call(fresh, call).await
    }

    async fn open(&self) -> Result<SendRequest<Message>, SendError> {
        let Dialed { stream, .. } = self.dialer.dial().await?;
        let mut http2 = Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(self.pings.interval)
            .keep_alive_timeout(self.pings.timeout)
            .keep_alive_while_idle(true);
        let opened = http2.handshake(TokioIo::new(stream)).await;
        let (sender, connection) = opened.map_err(broken)?;
        tokio::spawn(async move {
            // Whoever uses the connection is told how it ended.
            let _ = connection.await;
        });
        Ok(sender)
    }

    async fn call(&self, mut on: SendRequest<Message>, call: &Call) -> Result<Answer, SendError> {
        let request = self.request(call);
        on.ready().await.map_err(broken)?;
        let response = on.send_request(request).await.map_err(broken)?;
        Answer::read(response).await
    }

    fn request(&self, call: &Call) -> Request<Message> {
        let mut request = Request::new(Message::new(call.message.clone(), call.is_compressed));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = call.headers.clone();
        request
    }

    fn kept(&self) -> MutexGuard<'_, Option<SendRequest<Message>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn broken(error: hyper::Error) -> SendError {
    SendError::Broken(io::Error::other(error))
}

/// The path of the one call that each service has.
fn method(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

#[cfg(test)]
mod tests;
