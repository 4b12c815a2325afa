//! The Lambda Runtime API of one environment: an HTTP server on its own loopback port, which turns
//! requests into calls to the environment's task.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use self::extensions::ExtensionsApi;
use super::Function;
use crate::allowed_hosts::{AllowedHosts, HostCheckLayer};

mod extensions;
mod wire;

/// Maximum size of a response to a synchronous invocation. AWS documents 6 MB and rejects responses
/// larger than 6 MiB and 100 bytes.
pub(super) const MAX_RESPONSE_BYTES: usize = 6 * 1024 * 1024 + 100;
/// Maximum number of bytes of an oversized response that are read and discarded, so that the
/// runtime receives the error response.
const MAX_DRAINED_BYTES: usize = 256 * 1024 * 1024;
/// Maximum number of calls that wait for the environment's task. A runtime has one or two pending
/// calls; the rest is a margin for a faulty runtime.
const CALL_BUFFER: usize = 16;

/// A call of the runtime, which the environment's task responds to.
#[derive(Debug)]
pub(super) enum RuntimeCall {
    /// The runtime polls for the next event.
    Next { reply: NextReply },
    /// The runtime has finished an event.
    Complete {
        request_id: String,
        result: Result<Bytes, FunctionError>,
        reply: oneshot::Sender<CallStatus>,
    },
    /// The runtime reports an error before its first event.
    InitError {
        error: FunctionError,
        reply: oneshot::Sender<CallStatus>,
    },
}

/// Reply channel of the runtime's pending `/next` request.
pub(super) type NextReply = oneshot::Sender<InvocationEvent>;

/// An event for the runtime.
#[derive(Clone, Debug)]
pub(super) struct InvocationEvent {
    pub(super) request_id: String,
    pub(super) deadline: SystemTime,
    pub(super) function_arn: String,
    pub(super) trace_id: String,
    pub(super) payload: Bytes,
}

/// An error that the runtime reports.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct FunctionError {
    pub(super) error_type: String,
    pub(super) message: String,
    pub(super) payload: Bytes,
}

/// Result of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum CallStatus {
    Accepted,
    /// The environment does not work on an event with this request id.
    UnknownRequest,
    /// The environment's current state does not allow the call.
    InvalidStateTransition,
}

/// A Runtime API server, which stops when this is dropped.
#[derive(Debug)]
pub(super) struct RuntimeApi {
    pub(super) address: SocketAddr,
    pub(super) calls: mpsc::Receiver<RuntimeCall>,
    extensions: ExtensionsApi,
    server: JoinHandle<()>,
}

impl RuntimeApi {
    /// Starts the server on a free loopback port.
    pub(super) async fn listen(function: &Function) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (sender, calls) = mpsc::channel(CALL_BUFFER);
        // Without this, a response of a few bytes waits for the peer's delayed acknowledgement,
        // about 40 ms.
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let extensions = ExtensionsApi::new(function);
        let router = router(sender)
            .merge(extensions.clone().router())
            // The function connects by address, so no other host name needs to be allowed.
            .layer(HostCheckLayer::new(AllowedHosts::default(), wire::host_error_response));
        let server = tokio::spawn(async move {
            // `serve` returns only after a graceful shutdown, which is not configured here: the
            // task is aborted.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            address,
            calls,
            extensions,
            server,
        })
    }

    /// Returns true if an extension has registered, so that the environment's shutdown must be
    /// announced.
    pub(super) fn has_extension(&self) -> bool {
        self.extensions.has_registered()
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type CallSender = State<mpsc::Sender<RuntimeCall>>;

fn router(calls: mpsc::Sender<RuntimeCall>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next_invocation))
        .route(
            "/2018-06-01/runtime/invocation/{request_id}/response",
            post(invocation_response),
        )
        .route(
            "/2018-06-01/runtime/invocation/{request_id}/error",
            post(invocation_error),
        )
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .with_state(calls)
}

async fn next_invocation(State(calls): CallSender) -> Response {
    let (reply, event) = oneshot::channel();
    if calls.send(RuntimeCall::Next { reply }).await.is_err() {
        return wire::environment_shutting_down();
    }
    match event.await {
        Ok(event) => wire::event_response(event),
        Err(_) => wire::invalid_state_transition(),
    }
}

async fn invocation_response(
    State(calls): CallSender,
    Path(request_id): Path<String>,
    headers: HeaderMap,
    mut body: Body,
) -> Response {
    let (result, too_large) = match Limited::new(&mut body, MAX_RESPONSE_BYTES).collect().await {
        Ok(collected) => {
            let error = collected.trailers().and_then(wire::error_in_trailers);
            (error.map_or_else(|| Ok(collected.to_bytes()), Err), false)
        }
        Err(error) if error.is::<LengthLimitError>() => {
            drain(body).await;
            (Err(wire::response_too_large_error(&headers)), true)
        }
        // The runtime has closed the connection, so it does not receive this response.
        Err(_) => return StatusCode::BAD_REQUEST.into_response(),
    };
    let status = send_call(&calls, |reply| RuntimeCall::Complete {
        request_id,
        result,
        reply,
    })
    .await;
    if too_large && status == Some(CallStatus::Accepted) {
        return wire::payload_too_large();
    }
    wire::status_response(status)
}

/// Reads and discards the rest of a rejected body. A client whose connection is closed while it
/// writes cannot read the response. The connection is closed all the same after
/// [`MAX_DRAINED_BYTES`].
async fn drain(mut body: Body) {
    let mut drained = 0;
    while let Some(Ok(frame)) = body.frame().await {
        drained += frame.data_ref().map_or(0, Bytes::len);
        if drained > MAX_DRAINED_BYTES {
            return;
        }
    }
}

async fn invocation_error(
    State(calls): CallSender,
    Path(request_id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(error) = read_error(&headers, body).await else {
        return wire::payload_too_large();
    };
    wire::status_response(
        send_call(&calls, |reply| RuntimeCall::Complete {
            request_id,
            result: Err(error),
            reply,
        })
        .await,
    )
}

async fn init_error(State(calls): CallSender, headers: HeaderMap, body: Body) -> Response {
    let Some(error) = read_error(&headers, body).await else {
        return wire::payload_too_large();
    };
    wire::status_response(send_call(&calls, |reply| RuntimeCall::InitError { error, reply }).await)
}

async fn read_error(headers: &HeaderMap, body: Body) -> Option<FunctionError> {
    let body = Limited::new(body, MAX_RESPONSE_BYTES)
        .collect()
        .await
        .ok()?;
    Some(wire::function_error(headers, body.to_bytes()))
}

/// Sends a call to the environment's task; returns `None` if the task has ended.
async fn send_call(
    calls: &mpsc::Sender<RuntimeCall>,
    call: impl FnOnce(oneshot::Sender<CallStatus>) -> RuntimeCall,
) -> Option<CallStatus> {
    let (reply, status) = oneshot::channel();
    calls.send(call(reply)).await.ok()?;
    status.await.ok()
}

fn epoch_millis(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_millis()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroUsize;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;
    use crate::environment::Freeze;

    /// Time limit of a response on a busy machine. A request that is wrongly accepted waits longer,
    /// for an event.
    const SOON: Duration = Duration::from_secs(20);

    fn function() -> Function {
        Function {
            name: "under-test".to_owned(),
            binary: "/bootstrap".into(),
            timeout: Duration::from_secs(1),
            memory_mb: 128,
            env: BTreeMap::new(),
            max_concurrency: NonZeroUsize::MIN,
            idle_after: Duration::ZERO,
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
            freeze: Freeze::Never,
        }
    }

    async fn exchange(address: SocketAddr, head: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{head}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response
    }

    #[tokio::test]
    async fn a_page_of_another_site_can_neither_take_an_event_nor_end_the_environment() {
        let mut api = RuntimeApi::listen(&function()).await.unwrap();
        for (request, status) in [
            (
                "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: evil.example",
                421,
            ),
            (
                "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://evil.example",
                403,
            ),
            (
                "POST /2020-01-01/extension/register HTTP/1.1\r\nHost: evil.example",
                421,
            ),
            ("GET /nothing HTTP/1.1\r\nHost: evil.example", 421),
        ] {
            let exchange = exchange(api.address, request);
            let response = timeout(SOON, exchange).await.unwrap();
            assert!(
                response.starts_with(&format!("HTTP/1.1 {status} ")),
                "{response}"
            );
            assert!(response.contains("evil.example"), "{response}");
        }
        assert!(api.calls.try_recv().is_err());
    }
}
