//! A small HTTP/1.1 client on hyper that runs on the caller's task.
//!
//! The usual clients hand every request to a connection task or a thread; on Lambda that is two context switches per invocation, and a
//! task that stands still with the rest of the process when the environment is frozen. Here the caller's future drives the connection
//! itself, and between two requests nothing runs.

mod body;
mod connection;

pub(crate) use body::Frames;

use crate::endpoint::Endpoint;
use bytes::Bytes;
use connection::Connection;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// Connections kept open for the next request: one is enough while invocations come one by one, and concurrent ones need few more.
const MAX_KEPT_CONNECTIONS: usize = 3;
/// How long a request waits for one of them to be free. A collector that works answers sooner; beside requests that hang, a further
/// connection costs less than waiting for their deadlines.
const PATIENCE: Duration = Duration::from_millis(20);

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    #[error("the TLS handshake failed")]
    Tls(#[source] std::io::Error),
    #[error("the host name is not a valid TLS server name")]
    ServerName,
    #[error("the connection broke")]
    Http(#[source] hyper::Error),
    #[error("the response is longer than {} bytes", connection::MAX_RESPONSE)]
    ResponseTooLong,
    #[error("the request cannot be built")]
    Request(#[source] http::Error),
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// Talks to one endpoint. Cheap to create: nothing is connected, and no TLS set up, before the first request.
#[derive(Debug)]
pub(crate) struct Client {
    endpoint: Endpoint,
    headers: HeaderMap,
    tls: connection::Tls,
    idle: Mutex<Vec<Connection>>,
    /// As many as there are connections to keep.
    slots: Semaphore,
}

impl Client {
    /// `headers` are sent with every request.
    pub(crate) fn new(endpoint: Endpoint, mut headers: HeaderMap) -> Self {
        // An `Endpoint`'s authority consists of a parsed host and a number.
        if let Ok(host) = HeaderValue::try_from(endpoint.authority()) {
            headers.insert(header::HOST, host);
        }
        Self {
            endpoint,
            headers,
            tls: connection::Tls::default(),
            idle: Mutex::default(),
            slots: Semaphore::new(MAX_KEPT_CONNECTIONS),
        }
    }

    /// Sends one request to the endpoint's path and reads the answer. Dropping the future gives the connection up.
    ///
    /// A kept connection may have died while the process was frozen. That is seen only by using it, so a request whose connection breaks
    /// is sent again at once on a new one.
    pub(crate) async fn send(
        &self,
        method: Method,
        headers: &[(HeaderName, HeaderValue)],
        body: Frames,
    ) -> Result<Response, SendError> {
        let _slot = self.slot().await;
        if let Some(kept) = self.take_idle() {
            let request = self.request(method.clone(), headers, body.clone())?;
            match self.exchange(kept, request).await {
                // The other kept connections have stood still as long as this one.
                Err(SendError::Http(_)) => self.forget_idle(),
                outcome => return outcome,
            }
        }
        let fresh = Connection::open(&self.endpoint, &self.tls).await?;
        self.exchange(fresh, self.request(method, headers, body)?)
            .await
    }

    /// Several requests at once share few connections, as long as these are to be had.
    async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        match self.slots.try_acquire() {
            Ok(free) => Some(free),
            Err(_) => timeout(PATIENCE, self.slots.acquire()).await.ok()?.ok(),
        }
    }

    async fn exchange(
        &self,
        mut connection: Connection,
        request: Request<Frames>,
    ) -> Result<Response, SendError> {
        let response = connection.exchange(request).await?;
        if connection.is_reusable().await {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < MAX_KEPT_CONNECTIONS {
                idle.push(connection);
            }
        }
        Ok(response)
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop()
    }

    fn forget_idle(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.clear();
    }

    fn request(
        &self,
        method: Method,
        headers: &[(HeaderName, HeaderValue)],
        body: Frames,
    ) -> Result<Request<Frames>, SendError> {
        let mut request = Request::builder()
            .method(method)
            .uri(self.endpoint.path.as_str())
            .body(body)
            .map_err(SendError::Request)?;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().extend(headers.iter().cloned());
        Ok(request)
    }
}
