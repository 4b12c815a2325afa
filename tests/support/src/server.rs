//! Servers on loopback ports, for one function process.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Closes the connection instead of responding.
#[derive(Debug, thiserror::Error)]
#[error("connection closed on purpose")]
pub(crate) struct CloseConnection;

pub(crate) type HttpResult = Result<Response<Full<Bytes>>, CloseConnection>;

/// Maximum number of connections that wait to be accepted. One process opens far fewer.
const BACKLOG: u32 = 128;

/// A free loopback port, reserved for as long as this lives. Nothing listens on it at first.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    _socket: TcpSocket,
}

impl Port {
    pub(crate) fn reserve() -> io::Result<Self> {
        let socket = bind((Ipv4Addr::LOCALHOST, 0).into())?;
        Ok(Self {
            address: socket.local_addr()?,
            _socket: socket,
        })
    }

    /// Listens on the port. Can be repeated once the previous listener is closed.
    pub(crate) fn listen(&self) -> io::Result<TcpListener> {
        bind(self.address)?.listen(BACKLOG)
    }
}

/// Binds a socket that shares its address with the socket that reserves the port.
fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// A running server. Dropping it closes the port and all connections.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Runs `serve` for every connection.
    pub(crate) fn start<S, F>(listener: TcpListener, serve: S) -> io::Result<Self>
    where
        S: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, serve));
        Ok(Self { address, task })
    }

    /// Responds to every HTTP request on a free port with the result of `handle`.
    pub(crate) async fn start_http<A, F>(handle: A) -> io::Result<Self>
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = HttpResult> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Self::start(listener, move |stream| serve_http(stream, handle.clone()))
    }

    /// Stops the server, and returns once its port and its connections are closed.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        // The only possible result is that the task was aborted.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Runs until it is aborted. The connections are in its set, so that aborting it closes them too.
async fn accept<S, F>(listener: TcpListener, serve: S)
where
    S: Fn(TcpStream) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // An error means that the client disconnected before it was accepted.
                if let Ok((stream, _)) = accepted {
                    // Without this a response of a few bytes waits about 40 ms for the peer's
                    // delayed acknowledgement.
                    let _ = stream.set_nodelay(true);
                    connections.spawn(serve(stream));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_http<A, F>(stream: TcpStream, handle: A)
where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = HttpResult>,
{
    // Killed processes break their connections, and tests close connections on purpose.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service_fn(handle))
        .await;
}
