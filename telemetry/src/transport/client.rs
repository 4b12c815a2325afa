//! A small HTTP/1.1 client that runs on the caller's task.
//!
//! The usual clients hand every request to a connection task or a thread; on Lambda that is two
//! context switches per invocation, and a task that stands still with the rest of the process when
//! the environment is frozen. Here the caller's future reads and writes by itself, and between two
//! requests nothing runs. The requests are always of the same form, so that nothing is left of the
//! protocol but the answer's framing: hyper, driven in the same way, takes four times the
//! instructions.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

use self::connection::Connection;
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
pub(crate) use response::{IncompleteBody, Response};
pub(crate) use tls::{ApplicationProtocol, Tls};

/// Connections kept open for the next request: one is enough while invocations come one by one, and
/// concurrent ones need few more.
const MAX_KEPT_CONNECTIONS: usize = 3;
/// How long a request waits for one of them to be free. A collector that works answers sooner;
/// beside requests that hang, a further connection costs less than waiting for their deadlines.
const IDLE_WAIT: Duration = Duration::from_millis(20);

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    /// The connection to the proxy with this host and port failed.
    #[error("cannot connect to the proxy {0}")]
    ConnectProxy(String, #[source] std::io::Error),
    #[error("the proxy {0} refused to connect to the collector with {1}")]
    ProxyRefused(String, StatusCode),
    #[error("the answer of the proxy {0} is not HTTP/1.1")]
    ProxyMalformed(String),
    #[error("the TLS handshake failed")]
    Tls(#[source] std::io::Error),
    #[error("the host name is not a valid TLS server name")]
    ServerName,
    #[error("the connection broke")]
    Broken(#[source] std::io::Error),
    #[cfg(feature = "grpc")]
    #[error("the answer is not gRPC")]
    NotGrpc,
    #[error("the answer is not HTTP/1.1")]
    Malformed(#[source] httparse::Error),
    #[error("the response is longer than {} bytes", response::MAX_RESPONSE)]
    ResponseTooLong,
    #[error("the request could not be compressed")]
    Compress(#[source] std::io::Error),
    #[error("timed out")]
    Timeout,
}

impl SendError {
    /// Returns `true` if the peer's response is in a different protocol from the request.
    pub(crate) fn is_protocol_mismatch(&self) -> bool {
        match self {
            Self::Malformed(_) => true,
            #[cfg(feature = "grpc")]
            Self::NotGrpc => true,
            _ => false,
        }
    }
}

/// Talks to one endpoint. Cheap to create: nothing is connected, and no TLS set up, before the
/// first request.
#[derive(Debug)]
pub(crate) struct Client {
    dialer: Dialer,
    head: Mutex<RequestHead>,
    idle: Mutex<Vec<Connection>>,
    /// As many as there are connections to keep.
    slots: Semaphore,
    idle_wait: Duration,
}

impl Client {
    /// `headers` are sent with every request, except for those that are the connection's own
    /// matter.
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

    /// Takes headers for all further requests, in place of those of the same name.
    pub(crate) fn set_headers(&self, headers: HeaderMap) {
        self.head().set_headers(&self.dialer.endpoint, headers);
    }

    /// Returns the headers of every request. They may contain keys.
    pub(crate) fn headers(&self) -> HeaderMap {
        self.head().headers().clone()
    }

    /// Sends one request to the endpoint's path and reads the answer, until `deadline`. Dropping
    /// the future gives the connection up.
    ///
    /// A kept connection may have died while the process was frozen. That is seen only by using it,
    /// so a request whose connection breaks is sent again at once on a new one.
    pub(crate) async fn send(
        &self,
        method: Method,
        headers: &[(HeaderName, HeaderValue)],
        body: BufList,
        deadline: Instant,
    ) -> Result<Response, SendError> {
        let request = self.build_request(&method, headers, body);
        let mut received = Vec::new();
        let response = timeout_at(deadline, self.send_retrying(request, &mut received));
        if let Ok(outcome) = response.await {
            return outcome;
        }
        // Where packets vanish without a word, they do so on the other kept connections too: each
        // would cost somebody all their time.
        self.idle().clear();
        let partial = response::parse(&received, Some(EndOfStream::TimedOut))?;
        partial
            .map(|parsed| parsed.response)
            .ok_or(SendError::Timeout)
    }

    async fn send_retrying(
        &self,
        request: BufList,
        received: &mut Vec<u8>,
    ) -> Result<Response, SendError> {
        let _slot = self.acquire_slot().await;
        if let Some(idle) = self.pop_open().await {
            match self.send_on(idle, request.clone(), received).await {
                Err(SendError::Broken(_)) => {}
                // The peer's word for an idle connection that it closes (RFC 9110, section 15.5.9),
                // which has crossed the request.
                Ok(response) if response.status == StatusCode::REQUEST_TIMEOUT => {}
                outcome => return outcome,
            }
            // The other kept connections have stood still as long as this one.
            self.idle().clear();
            received.clear();
        }
        let new = Connection::open(&self.dialer).await?;
        self.send_on(new, request, received).await
    }

    /// Several requests at once share few connections, as long as these are to be had.
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
        mut connection: Connection,
        request: BufList,
        received: &mut Vec<u8>,
    ) -> Result<Response, SendError> {
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

    /// A kept connection that its peer has not closed, as far as is known here.
    async fn pop_open(&self) -> Option<Connection> {
        loop {
            let mut connection = self.idle().pop()?;
            if connection.is_open().await {
                return Some(connection);
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn head(&self) -> MutexGuard<'_, RequestHead> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The whole request: its head in front of its body.
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
        // What has no body of its nature says nothing of its length (RFC 9110, section 8.6).
        if body.has_remaining() || *method == Method::POST {
            put_header(&mut head, &header::CONTENT_LENGTH, &body.remaining().into());
        }
        head.extend_from_slice(b"\r\n");
        body.prepend(Bytes::from(head));
        body
    }
}

/// For the length, and for a header or two of a request's own.
const EXTRA_HEADER_BYTES: usize = 128;

#[cfg(test)]
mod tests;
