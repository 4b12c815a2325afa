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

use self::message::Message;
use self::response::GrpcResponse;
use super::SendFuture;
use super::wrong_endpoint::EndpointHint;
use crate::otlp::Signal;
use crate::transport::client::{BufList, Dialer, RawConnection, SendError};

mod message;
mod response;
mod retry_info;
mod status;

pub(crate) use status::GrpcStatus;

/// How long a connection is silent before a ping asks whether there is still somebody. Below the
/// idle times of load balancers and address translation (350 s on AWS, 240 s elsewhere), and not
/// more often than they demand: servers on grpc-go, the Collector among them, close a connection on
/// which more than two such pings come without a call between them, which costs the next export a
/// handshake.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(60);
/// How long the answer may take. Whoever needs longer for a few bytes answers no export in time
/// either.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

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
struct KeepAlive {
    interval: Duration,
    timeout: Duration,
}

/// What is sent, once or twice.
struct GrpcRequest {
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
    connection: Mutex<Option<SendRequest<Message>>>,
    keep_alive: KeepAlive,
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut client = formatter.debug_struct("Client");
        client.field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn new(signal: Signal, dialer: Dialer) -> Self {
        let scheme = if dialer.endpoint.tls {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        };
        // A path of the endpoint means nothing to gRPC (OTLP exporter specification, "Configuration
        // Options").
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(dialer.endpoint.authority())
            .path_and_query(method_path(signal));
        Self {
            // An `Endpoint`'s authority consists of a parsed host and a number, so that this is a
            // URI; what is none, hyper does not send.
            uri: uri.build().unwrap_or_default(),
            dialer,
            headers: Mutex::default(),
            connection: Mutex::default(),
            keep_alive: KeepAlive {
                interval: KEEP_ALIVE_INTERVAL,
                timeout: KEEP_ALIVE_TIMEOUT,
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
        hint: EndpointHint,
    ) -> SendFuture<'_> {
        let headers = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
        let request = GrpcRequest {
            message,
            is_compressed,
            headers: headers.clone(),
        };
        Box::pin(async move {
            match timeout_at(deadline, self.send_retrying(&request)).await {
                Ok(response) => response?.into_outcome(&request.headers, hint),
                Err(_) => {
                    // Where packets vanish without a word, every further call would wait for its
                    // deadline too.
                    *self.connection() = None;
                    Err(SendError::Timeout.into())
                }
            }
        })
    }

    /// A kept connection may have died while the process was frozen. That is seen only by using it,
    /// so a call whose connection breaks is made again at once on a new one.
    async fn send_retrying(&self, request: &GrpcRequest) -> Result<GrpcResponse, SendError> {
        let current = self.connection().clone();
        if let Some(current) = current.filter(|current| !current.is_closed()) {
            match self.send_on(current, request).await {
                Err(SendError::Broken(_)) => {}
                outcome => return outcome,
            }
        }
        let new = self.connect().await?;
        *self.connection() = Some(new.clone());
        self.send_on(new, request).await
    }

    async fn connect(&self) -> Result<SendRequest<Message>, SendError> {
        let RawConnection { stream, .. } = self.dialer.dial().await?;
        let mut http2 = Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(self.keep_alive.interval)
            .keep_alive_timeout(self.keep_alive.timeout)
            .keep_alive_while_idle(true);
        let opened = http2.handshake(TokioIo::new(stream)).await;
        let (sender, connection) = opened.map_err(connection_error)?;
        tokio::spawn(async move {
            // Whoever uses the connection is told how it ended.
            let _ = connection.await;
        });
        Ok(sender)
    }

    async fn send_on(
        &self,
        mut connection: SendRequest<Message>,
        request: &GrpcRequest,
    ) -> Result<GrpcResponse, SendError> {
        let request = self.http_request(request);
        connection.ready().await.map_err(connection_error)?;
        let response = connection
            .send_request(request)
            .await
            .map_err(connection_error)?;
        GrpcResponse::read(response).await
    }

    fn http_request(&self, grpc: &GrpcRequest) -> Request<Message> {
        let mut request = Request::new(Message::new(grpc.message.clone(), grpc.is_compressed));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = grpc.headers.clone();
        request
    }

    fn connection(&self) -> MutexGuard<'_, Option<SendRequest<Message>>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn connection_error(error: hyper::Error) -> SendError {
    SendError::Broken(io::Error::other(error))
}

/// The path of the one call that each service has.
fn method_path(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

#[cfg(test)]
mod tests;
