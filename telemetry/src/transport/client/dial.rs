//! Ways to a peer: TCP, and TLS where the endpoint has it.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::tls::Tls;
use super::{SendError, tunnel};
use crate::config::{Endpoint, Proxy};

/// What a connection reads from and writes to.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection, before anything is said on it.
pub(crate) struct RawConnection {
    pub(crate) stream: Box<dyn Stream>,
    /// The same socket without the runtime, which knows only of bytes that it has been told of:
    /// when a frozen process goes on, of none that came meanwhile.
    pub(super) socket: std::net::TcpStream,
}

/// A connection that is about to be.
type DialFuture<'a> = Pin<Box<dyn Future<Output = Result<RawConnection, SendError>> + Send + 'a>>;

/// How to reach one endpoint. Cheap to create: no TLS is set up before the first connection.
#[derive(Debug)]
pub(crate) struct Dialer {
    pub(crate) endpoint: Endpoint,
    /// Proxy for connections to the endpoint; `None` means a direct connection.
    pub(crate) proxy: Option<Proxy>,
    pub(crate) tls: Tls,
}

impl Dialer {
    /// Connects, on the heap: it is seldom needed and large, and would be part of every flush's
    /// state. Not as an `async fn`, because of that every crate in which a flush is polled would
    /// get a copy, TLS included.
    pub(crate) fn dial(&self) -> DialFuture<'_> {
        Box::pin(self.dial_unboxed())
    }

    async fn dial_unboxed(&self) -> Result<RawConnection, SendError> {
        let tcp = match &self.proxy {
            None => connect(&self.endpoint).await.map_err(SendError::Connect)?,
            Some(proxy) => connect(&proxy.endpoint)
                .await
                .map_err(|error| SendError::ConnectProxy(proxy.endpoint.authority(), error))?,
        };
        // A request is written whole: waiting for more to send (Nagle) would only delay it.
        tcp.set_nodelay(true).map_err(SendError::Connect)?;
        let (tcp, socket) = duplicate(tcp).map_err(SendError::Connect)?;
        if let Some(proxy) = &self.proxy {
            tunnel::open(&tcp, proxy, &self.endpoint).await?;
        }
        let stream: Box<dyn Stream> = if self.endpoint.tls {
            Box::new(self.tls.connect(&self.endpoint.host, tcp).await?)
        } else {
            Box::new(tcp)
        };
        Ok(RawConnection { stream, socket })
    }
}

/// A second handle of the socket; both do not block.
fn duplicate(tcp: TcpStream) -> io::Result<(TcpStream, std::net::TcpStream)> {
    let socket = tcp.into_std()?;
    Ok((TcpStream::from_std(socket.try_clone()?)?, socket))
}

/// A name costs a thread of tokio's, which asks the system's resolver. `localhost`, where a sidecar
/// or an extension listens and the specification's default points, is no question (RFC 6761,
/// section 6.3).
async fn connect(endpoint: &Endpoint) -> io::Result<TcpStream> {
    if endpoint.host.eq_ignore_ascii_case("localhost") {
        let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, endpoint.port));
        let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, endpoint.port));
        return TcpStream::connect([v4, v6].as_slice()).await;
    }
    TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await
}
