//! OTLP over gRPC, on hyper's HTTP/2.
//!
//! The messages are already encoded and the only call is unary. What remains of gRPC is a prefix of
//! five bytes and a status in the trailers. tonic's channel would pass requests to a task that owns
//! the connection. It cannot be told to discard a connection, and does not report whether a request
//! was sent on an old one; both matter after a freeze.
//!
//! hyper spawns tasks for a connection. They respond to pings, and send them while nothing is
//! exported. In a frozen process they stop, and nothing waits for them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use ::http::uri::Scheme;
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::{Instant, timeout_at};

use self::message::LengthPrefixedMessage;
use self::response::GrpcResponse;
use super::SendFuture;
use super::wrong_endpoint::EndpointHint;
use crate::otlp::Signal;
use crate::transport::client::{BufList, Dialer, RawConnection, RequestError};

mod message;
mod response;
mod retry_info;
mod status;

/// Time after which an idle connection is checked with a ping. It is shorter than the idle timeouts
/// of load balancers and address translation (350 s on AWS, 240 s elsewhere). It is not shorter
/// than servers allow: those based on grpc-go, such as the Collector, close a connection after more
/// than two pings without a call between them, and the next export would need a new handshake.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(60);
/// Timeout of a ping. A peer that needs longer for a few bytes does not respond to exports in time
/// either.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

const CONTENT_TYPE: (HeaderName, HeaderValue) = (
    header::CONTENT_TYPE,
    HeaderValue::from_static("application/grpc"),
);
/// Tells servers that the client reads trailers.
const TRAILERS: (HeaderName, HeaderValue) = (header::TE, HeaderValue::from_static("trailers"));
/// Compression of the message. The body around it is not compressed.
const ENCODING: (HeaderName, HeaderValue) = (
    HeaderName::from_static("grpc-encoding"),
    HeaderValue::from_static("gzip"),
);

/// Settings for the pings that check a connection.
#[derive(Debug, Clone, Copy)]
struct KeepAlive {
    interval: Duration,
    timeout: Duration,
}

/// A request, which may be sent twice.
struct GrpcRequest {
    message: BufList,
    is_compressed: bool,
    headers: HeaderMap,
}

/// Makes the calls of one signal. Cheap to create, because [`Dialer`] is.
pub(super) struct GrpcClient {
    dialer: Dialer,
    uri: Uri,
    headers: Mutex<HeaderMap>,
    /// Current connection. It is shared by concurrent calls.
    connection: Mutex<Option<SendRequest<LengthPrefixedMessage>>>,
    keep_alive: KeepAlive,
}

impl fmt::Debug for GrpcClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut client = formatter.debug_struct("GrpcClient");
        client.field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl GrpcClient {
    pub(super) fn new(signal: Signal, dialer: Dialer) -> Self {
        let scheme = if dialer.endpoint.tls {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        };
        // gRPC ignores the path of the endpoint (OTLP exporter specification, "Configuration
        // Options").
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(dialer.endpoint.authority())
            .path_and_query(method_path(signal));
        Self {
            // The authority of an `Endpoint` consists of a parsed host and a number, so this is
            // always a valid URI. hyper would reject an invalid one.
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

    /// Sets headers for all further calls. They replace headers of the same name, except those that
    /// gRPC itself sets.
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

    /// Makes a call, with a timeout at `deadline`. The future is boxed instead of returned by an
    /// `async fn`, because every crate that polls a flush would otherwise compile a copy of hyper.
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
                    // If the network drops packets silently, further calls on this connection would
                    // time out too.
                    *self.connection() = None;
                    Err(RequestError::Timeout.into())
                }
            }
        })
    }

    /// Sends a request on the current connection, and if that one is broken, once more on a new
    /// one. A connection may die while the process is frozen, which only its next use shows.
    async fn send_retrying(&self, request: &GrpcRequest) -> Result<GrpcResponse, RequestError> {
        let current = self.connection().clone();
        if let Some(current) = current.filter(|current| !current.is_closed()) {
            match self.send_on(current, request).await {
                Err(RequestError::Broken(_)) => {}
                outcome => return outcome,
            }
        }
        let new = self.connect().await?;
        *self.connection() = Some(new.clone());
        self.send_on(new, request).await
    }

    async fn connect(&self) -> Result<SendRequest<LengthPrefixedMessage>, RequestError> {
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
            // The error is reported to the calls that use the connection.
            let _ = connection.await;
        });
        Ok(sender)
    }

    async fn send_on(
        &self,
        mut connection: SendRequest<LengthPrefixedMessage>,
        request: &GrpcRequest,
    ) -> Result<GrpcResponse, RequestError> {
        let request = self.http_request(request);
        connection.ready().await.map_err(connection_error)?;
        let response = connection
            .send_request(request)
            .await
            .map_err(connection_error)?;
        GrpcResponse::read(response).await
    }

    fn http_request(&self, grpc: &GrpcRequest) -> Request<LengthPrefixedMessage> {
        let mut request = Request::new(LengthPrefixedMessage::new(
            grpc.message.clone(),
            grpc.is_compressed,
        ));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = grpc.headers.clone();
        request
    }

    fn connection(&self) -> MutexGuard<'_, Option<SendRequest<LengthPrefixedMessage>>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn connection_error(error: hyper::Error) -> RequestError {
    RequestError::Broken(io::Error::other(error))
}

/// Path of the method `Export` of the signal's service.
fn method_path(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

#[cfg(test)]
mod tests;
