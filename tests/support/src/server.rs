//! HTTP/1.1 on a free loopback port, for one function process.

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

/// Ends the connection instead of answering.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut on purpose")]
pub(crate) struct CutOff;

pub(crate) type Answered = Result<Response<Full<Bytes>>, CutOff>;

/// Connections that wait to be accepted: many times what one process opens.
const BACKLOG: u32 = 128;

/// A free loopback port, which nobody else gets while this lives. Nothing listens on it at first.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    _socket: TcpSocket,
}

impl Port {
    pub(crate) fn reserve() -> io::Result<Self> {
        let socket = socket((Ipv4Addr::LOCALHOST, 0).into())?;
        Ok(Self {
            address: socket.local_addr()?,
            _socket: socket,
        })
    }

    /// Listens, as often as nothing listens any more.
    pub(crate) fn listen(&self) -> io::Result<TcpListener> {
        socket(self.address)?.listen(BACKLOG)
    }
}

/// A socket of ours beside others of ours on the same address.
fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// A server that ends, with all its connections, when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Answers every request with what `answer` makes of it.
    pub(crate) async fn start<F, A>(answer: A) -> io::Result<Self>
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Answered> + Send + 'static,
    {
        Self::serve(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?, answer)
    }

    /// The same on a socket that listens already.
    pub(crate) fn serve<F, A>(listener: TcpListener, answer: A) -> io::Result<Self>
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Answered> + Send + 'static,
    {
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, answer));
        Ok(Self { address, task })
    }

    /// Ends it, and waits until its port is closed and its connections are.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        // That it was aborted is no news.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Ends only by being aborted, and then ends the connections as well: they are in its set.
async fn accept<F, A>(listener: TcpListener, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Answered> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A client that was gone before it was accepted is nobody's loss.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, answer.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve<F, A>(stream: TcpStream, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Answered> + Send + 'static,
{
    // Without this an answer of a few bytes waits for the peer's delayed acknowledgement, some 40
    // ms.
    let _ = stream.set_nodelay(true);
    let service = service_fn(answer);
    // Processes that are killed break their connections, and tests cut them on purpose.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
