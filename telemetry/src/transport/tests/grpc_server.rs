//! A gRPC server for tests. It uses the `h2` crate directly, listens on a real socket, and responds
//! as its script says.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use ::http::{HeaderMap, Request, Response};
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::RecvStream;
use h2::server::SendResponse;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet, yield_now};

/// Response to a call.
#[derive(Debug, Clone)]
pub(in crate::transport) enum Reply {
    /// A message and success.
    Message(&'static [u8]),
    /// An empty message and these trailers.
    Trailers(Vec<(&'static str, String)>),
    /// Only headers, with this HTTP status.
    Headers(u16, Vec<(&'static str, String)>),
    /// Half a message.
    Truncated,
    /// A reset of the stream.
    Reset,
    /// Success, and a GOAWAY frame.
    SuccessAndGoAway,
    Hang,
}

/// A call that the server received.
#[derive(Debug, Clone)]
pub(in crate::transport) struct ReceivedCall {
    pub(in crate::transport) path: String,
    pub(in crate::transport) headers: HeaderMap,
    pub(in crate::transport) body: Vec<u8>,
}

#[derive(Debug, Default)]
pub(in crate::transport) struct ServerState {
    script: VecDeque<Reply>,
    pub(in crate::transport) calls_received: Vec<ReceivedCall>,
    pub(in crate::transport) connections: usize,
    open: Vec<AbortHandle>,
}

pub(in crate::transport) struct GrpcServer {
    pub(in crate::transport) address: SocketAddr,
    shared: Arc<Mutex<ServerState>>,
    _tasks: JoinSet<()>,
}

impl GrpcServer {
    /// Responds to the first calls as scripted, and to all later ones with an empty message.
    pub(in crate::transport) async fn start(script: &[Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(ServerState {
            script: script.iter().cloned().collect(),
            ..ServerState::default()
        }));
        let mut tasks = JoinSet::new();
        let accepting = Arc::clone(&shared);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let mut shared = accepting.lock().unwrap();
                shared.connections += 1;
                let open = connections.spawn(serve(stream, Arc::clone(&accepting)));
                shared.open.push(open);
            }
        });
        Self {
            address,
            shared,
            _tasks: tasks,
        }
    }

    /// Closes all connections.
    pub(in crate::transport) async fn close_connections(&self) {
        let open = std::mem::take(&mut self.shared().open);
        open.iter().for_each(AbortHandle::abort);
        while !open.iter().all(AbortHandle::is_finished) {
            yield_now().await;
        }
    }

    pub(in crate::transport) fn shared(&self) -> MutexGuard<'_, ServerState> {
        self.shared.lock().unwrap()
    }
}

/// Serves one connection until it ends or the task is aborted.
pub(in crate::transport) async fn serve<S>(stream: S, shared: Arc<Mutex<ServerState>>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut connection = h2::server::handshake(stream).await.unwrap();
    let mut calls = JoinSet::new();
    while let Some(Ok((request, response))) = connection.accept().await {
        let shared = Arc::clone(&shared);
        let is_last = {
            let next = shared.lock().unwrap().script.front().cloned();
            matches!(next, Some(Reply::SuccessAndGoAway))
        };
        calls.spawn(respond_to(request, response, shared));
        if is_last {
            connection.graceful_shutdown();
        }
    }
}

async fn respond_to(
    request: Request<RecvStream>,
    mut response: SendResponse<Bytes>,
    shared: Arc<Mutex<ServerState>>,
) {
    let (head, mut incoming) = request.into_parts();
    let mut body = Vec::new();
    while let Some(data) = incoming.data().await {
        let Ok(data) = data else { return };
        incoming
            .flow_control()
            .release_capacity(data.len())
            .unwrap();
        body.extend_from_slice(&data);
    }
    let reply = {
        let mut shared = shared.lock().unwrap();
        shared.calls_received.push(ReceivedCall {
            path: head.uri.path().to_owned(),
            headers: head.headers,
            body,
        });
        shared.script.pop_front().unwrap_or(Reply::Message(b""))
    };
    let trailers = |trailers: Vec<(&'static str, String)>| {
        let pairs = trailers.into_iter();
        HeaderMap::from_iter(
            pairs.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())),
        )
    };
    let success = || trailers(vec![("grpc-status", "0".to_owned())]);
    let (message, end) = match reply {
        Reply::Message(message) => (message, success()),
        Reply::SuccessAndGoAway => (&b""[..], success()),
        Reply::Trailers(end) => (&b""[..], trailers(end)),
        Reply::Headers(status, headers) => {
            let mut head = Response::builder().status(status).body(()).unwrap();
            *head.headers_mut() = trailers(headers);
            let _ = response.send_response(head, true);
            return;
        }
        Reply::Truncated => {
            let mut sending = response.send_response(Response::new(()), false).unwrap();
            sending
                .send_data(Bytes::from_static(&[0, 0]), false)
                .unwrap();
            sending.send_reset(h2::Reason::INTERNAL_ERROR);
            return;
        }
        Reply::Reset => return response.send_reset(h2::Reason::REFUSED_STREAM),
        Reply::Hang => std::future::pending().await,
    };
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(message.len() as u32);
    framed.put_slice(message);
    let mut sending = response.send_response(Response::new(()), false).unwrap();
    sending.send_data(framed.freeze(), false).unwrap();
    sending.send_trailers(end).unwrap();
}
