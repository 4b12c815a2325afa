//! A small HTTP/1.1 client that runs on the caller's task.
//!
//! Other clients pass every request to a connection task or a thread. On Lambda that costs two
//! context switches per invocation, and the task stops when the execution environment is frozen.
//! Here the caller's future reads and writes, and nothing runs between two requests. All requests
//! have the same form, so the protocol is reduced to framing the response. hyper, driven in the
//! same way, needs four times the instructions.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

use self::connection::HttpConnection;
use self::head::{RequestHead, put_header};
use self::response::{EndOfStream, ParsedResponse};
use crate::config::{Certificates, Endpoint};

mod buf_list;
mod connection;
mod dial;
mod head;
mod response;
mod retry_after;
mod tls;
mod tunnel;

pub(crate) use buf_list::BufList;
pub(crate) use dial::Dialer;
#[cfg(feature = "grpc")]
pub(crate) use dial::RawConnection;
#[cfg(feature = "grpc")]
pub(crate) use response::MAX_RESPONSE;
pub(crate) use response::{HttpResponse, IncompleteBody};
pub(crate) use tls::{ApplicationProtocol, Tls};

/// Maximum number of idle connections. Sequential invocations need one, and concurrent ones a few
/// more.
const MAX_KEPT_CONNECTIONS: usize = 3;
/// Time that a request waits until one of them is free. A working collector responds sooner. If
/// other requests hang, a new connection costs less than waiting for their deadlines.
const IDLE_WAIT: Duration = Duration::from_millis(20);

/// The reason why a request has no usable response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    /// The connection to the proxy with this host and port failed.
    #[error("cannot connect to the proxy {0}")]
    ConnectProxy(String, #[source] std::io::Error),
    #[error("the proxy {0} rejected the connection to the collector: {1}")]
    ProxyRejected(String, StatusCode),
    #[error("the response of the proxy {0} is not HTTP/1.1")]
    ProxyMalformed(String),
    #[error("the TLS handshake failed")]
    Tls(#[source] std::io::Error),
    #[error("the host name is not a valid TLS server name")]
    ServerName,
    #[error("the connection broke")]
    Broken(#[source] std::io::Error),
    #[cfg(feature = "grpc")]
    #[error("the response is not gRPC")]
    NotGrpc,
    #[error("the response is not HTTP/1.1")]
    Malformed(#[source] httparse::Error),
    #[error("the response is longer than {} bytes", response::MAX_RESPONSE)]
    ResponseTooLong,
    #[error("the request could not be compressed")]
    Compress(#[source] std::io::Error),
    #[error("timed out")]
    Timeout,
}

impl RequestError {
    /// Returns true if the response is in a different protocol from the request.
    pub(crate) fn is_protocol_mismatch(&self) -> bool {
        match self {
            Self::Malformed(_) => true,
            #[cfg(feature = "grpc")]
            Self::NotGrpc => true,
            _ => false,
        }
    }
}

/// Sends requests to one endpoint. Cheap to create: the connection and the TLS configuration are
/// set up by the first request.
#[derive(Debug)]
pub(crate) struct HttpClient {
    dialer: Dialer,
    head: Mutex<RequestHead>,
    idle: Mutex<Vec<HttpConnection>>,
    /// One permit for each connection that can be kept.
    slots: Semaphore,
    idle_wait: Duration,
}

impl HttpClient {
    /// Creates a client without a proxy. `headers` are sent with every request, except those that
    /// the client itself sets.
    pub(crate) fn new(endpoint: Endpoint, headers: HeaderMap) -> Self {
        let tls = Tls::new(Certificates::default(), ApplicationProtocol::Http1);
        let dialer = Dialer {
            endpoint,
            proxy: None,
            tls,
        };
        Self::from_dialer(dialer, headers)
    }

    pub(crate) fn from_dialer(dialer: Dialer, headers: HeaderMap) -> Self {
        let head = RequestHead::new(&dialer.endpoint, headers);
        Self {
            dialer,
            head: Mutex::new(head),
            idle: Mutex::default(),
            slots: Semaphore::new(MAX_KEPT_CONNECTIONS),
            idle_wait: IDLE_WAIT,
        }
    }

    /// Sets headers for all further requests. They replace headers of the same name.
    pub(crate) fn set_headers(&self, headers: HeaderMap) {
        self.head().set_headers(&self.dialer.endpoint, headers);
    }

    /// Returns the headers of every request. They may contain keys.
    pub(crate) fn headers(&self) -> HeaderMap {
        self.head().headers().clone()
    }

    /// Sends one request to the endpoint's path and reads the response, with a timeout at
    /// `deadline`. If the future is dropped, the connection is closed.
    ///
    /// Returns a response whose body is incomplete if the deadline passes after its head has
    /// arrived.
    pub(crate) async fn send(
        &self,
        method: Method,
        headers: &[(HeaderName, HeaderValue)],
        body: BufList,
        deadline: Instant,
    ) -> Result<HttpResponse, RequestError> {
        let request = self.build_request(&method, headers, body);
        let mut received = Vec::new();
        let response = timeout_at(deadline, self.send_retrying(request, &mut received));
        if let Ok(outcome) = response.await {
            return outcome;
        }
        // If the network drops packets silently, requests on the other idle connections would time
        // out too.
        self.idle().clear();
        let partial = response::parse(&received, Some(EndOfStream::TimedOut))?;
        partial
            .map(|parsed| parsed.response)
            .ok_or(RequestError::Timeout)
    }

    /// Sends a request on an idle connection, and if that one is broken, once more on a new one. A
    /// connection may die while the process is frozen, which only its next use shows.
    async fn send_retrying(
        &self,
        request: BufList,
        received: &mut Vec<u8>,
    ) -> Result<HttpResponse, RequestError> {
        let _slot = self.acquire_slot().await;
        if let Some(idle) = self.pop_open().await {
            match self.send_on(idle, request.clone(), received).await {
                Err(RequestError::Broken(_)) => {}
                // The peer timed out the idle connection while the request was in transit (RFC
                // 9110, section 15.5.9).
                Ok(response) if response.status == StatusCode::REQUEST_TIMEOUT => {}
                outcome => return outcome,
            }
            // The other connections have been idle for as long as this one.
            self.idle().clear();
            received.clear();
        }
        let new = HttpConnection::open(&self.dialer).await?;
        self.send_on(new, request, received).await
    }

    /// Waits until one of the connections is free, so that concurrent requests share them. Returns
    /// `None` after [`IDLE_WAIT`].
    async fn acquire_slot(&self) -> Option<SemaphorePermit<'_>> {
        match self.slots.try_acquire() {
            Ok(free) => Some(free),
            Err(_) => timeout(self.idle_wait, self.slots.acquire())
                .await
                .ok()?
                .ok(),
        }
    }

    async fn send_on(
        &self,
        mut connection: HttpConnection,
        request: BufList,
        received: &mut Vec<u8>,
    ) -> Result<HttpResponse, RequestError> {
        let ParsedResponse {
            response,
            is_reusable,
        } = connection.send(request, received).await?;
        let mut idle = self.idle();
        if is_reusable && idle.len() < MAX_KEPT_CONNECTIONS {
            idle.push(connection);
        }
        Ok(response)
    }

    /// Removes and returns an idle connection that the peer has not closed, as far as is known.
    async fn pop_open(&self) -> Option<HttpConnection> {
        loop {
            let mut connection = self.idle().pop()?;
            if connection.is_open().await {
                return Some(connection);
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<HttpConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn head(&self) -> MutexGuard<'_, RequestHead> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the head and the body of a request.
    fn build_request(
        &self,
        method: &Method,
        headers: &[(HeaderName, HeaderValue)],
        mut body: BufList,
    ) -> BufList {
        let mut head = {
            let (method, common) = (method.as_str().as_bytes(), self.head());
            let common = common.bytes();
            let mut head = Vec::with_capacity(method.len() + common.len() + EXTRA_HEADER_BYTES);
            head.extend_from_slice(method);
            head.extend_from_slice(common);
            head
        };
        for (name, value) in headers {
            put_header(&mut head, name, value);
        }
        // A method without a body has no `Content-Length` (RFC 9110, section 8.6).
        if body.has_remaining() || *method == Method::POST {
            put_header(&mut head, &header::CONTENT_LENGTH, &body.remaining().into());
        }
        head.extend_from_slice(b"\r\n");
        body.prepend(Bytes::from(head));
        body
    }
}

/// Capacity for `Content-Length` and one or two headers of a single request.
const EXTRA_HEADER_BYTES: usize = 128;

#[cfg(test)]
mod tests;
