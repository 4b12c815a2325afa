//! One connection, driven by whoever uses it.

use super::response::{self, Parsed};
use super::tls::Tls;
use super::{Frames, SendError};
use crate::endpoint::Endpoint;
use bytes::Buf as _;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How much is read at once: more than a collector's usual answer.
const READ_BYTES: usize = 1024;
/// How many pieces are written at once. A usual request has four.
const MAX_SLICES: usize = 8;

/// What a connection reads from and writes to.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that is about to be.
type Opening<'a> = Pin<Box<dyn Future<Output = Result<Connection, SendError>> + Send + 'a>>;

pub(super) struct Connection {
    stream: Box<dyn Stream>,
    /// The same socket without the runtime, which knows only of bytes that it has been told of: when a frozen process goes on, of none that
    /// came meanwhile.
    socket: std::net::TcpStream,
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects, on the heap: it is seldom needed and large, and would be part of every flush's state. Not as an `async fn`, because of that
    /// every crate in which a flush is polled would get a copy, TLS included.
    pub(super) fn open<'a>(endpoint: &'a Endpoint, tls: &'a Tls) -> Opening<'a> {
        Box::pin(Self::open_unboxed(endpoint, tls))
    }

    async fn open_unboxed(endpoint: &Endpoint, tls: &Tls) -> Result<Self, SendError> {
        let tcp = connect(endpoint).await.map_err(SendError::Connect)?;
        // A request is written whole: waiting for more to send (Nagle) would only delay it.
        tcp.set_nodelay(true).map_err(SendError::Connect)?;
        let (tcp, socket) = with_socket(tcp).map_err(SendError::Connect)?;
        let stream: Box<dyn Stream> = match endpoint.tls {
            true => Box::new(tls.connect(&endpoint.host, tcp).await?),
            false => Box::new(tcp),
        };
        Ok(Self { stream, socket })
    }

    /// Writes a request and reads the answer to it. What has come of it is in `received` also when this future is dropped.
    pub(super) async fn exchange(
        &mut self,
        request: Frames,
        received: &mut Vec<u8>,
    ) -> Result<Parsed, SendError> {
        let mut exchange = Exchange {
            stream: &mut *self.stream,
            request,
            is_written: false,
            write_error: None,
            received,
        };
        poll_fn(|context| exchange.poll(context)).await
    }

    /// Whether the peer has left the connection open since the last answer. Asked once, not waited for: what is there to be read while
    /// nothing was asked is the end of the connection, or an answer to nothing, which must not be taken for the next request's.
    pub(super) async fn is_open(&mut self) -> bool {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        // What TLS holds back first, then what nobody has read yet.
        let is_quiet = poll_fn(|context| {
            let read = Pin::new(&mut *self.stream).poll_read(context, &mut buffer);
            Poll::Ready(read.is_pending())
        });
        let is_quiet = is_quiet.await;
        let unread = self.socket.peek(&mut [0]);
        is_quiet && unread.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// A second handle of the socket; both do not block.
fn with_socket(tcp: TcpStream) -> io::Result<(TcpStream, std::net::TcpStream)> {
    let socket = tcp.into_std()?;
    Ok((TcpStream::from_std(socket.try_clone()?)?, socket))
}

/// A request on its way, and what has come back.
struct Exchange<'a> {
    stream: &'a mut dyn Stream,
    request: Frames,
    is_written: bool,
    /// Why the request could not be written. A collector that refuses a long request answers first and then stops reading: only without
    /// an answer does this count.
    write_error: Option<io::Error>,
    received: &'a mut Vec<u8>,
}

impl Exchange<'_> {
    /// Reads while it writes: the answer may come before the end of the request.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Parsed, SendError>> {
        if !self.is_written && self.write_error.is_none() {
            match self.poll_write(context) {
                Poll::Ready(Ok(())) => self.is_written = true,
                Poll::Ready(Err(error)) => self.write_error = Some(error),
                Poll::Pending => {}
            }
        }
        loop {
            let end = match ready!(self.poll_read(context)) {
                Ok(0) => Some(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => None,
                Err(error) => Some(error),
            };
            if let Some(mut parsed) = response::parse(self.received, end.is_some())? {
                parsed.is_reusable &= self.is_written;
                return Poll::Ready(Ok(parsed));
            }
            if let Some(error) = end {
                return Poll::Ready(Err(self.broken(error)));
            }
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.request.has_remaining() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let count = self.request.chunks_vectored(&mut slices);
            let stream = Pin::new(&mut *self.stream);
            match ready!(stream.poll_write_vectored(context, &slices[..count]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.request.advance(written),
            }
        }
        Pin::new(&mut *self.stream).poll_flush(context)
    }

    /// How many bytes were read; none at the end of the connection.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut bytes = [0; READ_BYTES];
        let mut buffer = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut *self.stream).poll_read(context, &mut buffer))?;
        self.received.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn broken(&mut self, error: io::Error) -> SendError {
        SendError::Broken(self.write_error.take().unwrap_or(error))
    }
}

/// A name costs a thread of tokio's, which asks the system's resolver. `localhost`, where a sidecar or an extension listens and the
/// specification's default points, is no question (RFC 6761, section 6.3).
async fn connect(endpoint: &Endpoint) -> io::Result<TcpStream> {
    if endpoint.host.eq_ignore_ascii_case("localhost") {
        let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, endpoint.port));
        let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, endpoint.port));
        return TcpStream::connect([v4, v6].as_slice()).await;
    }
    TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await
}
