//! Connecting: TCP, a proxy's tunnel, and TLS.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::tls::Tls;
use super::{RequestError, tunnel};
use crate::config::{Endpoint, Proxy};

/// The byte stream of a connection, with or without TLS.
pub(crate) trait IoStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> IoStream for T {}

/// A new connection.
pub(crate) struct RawConnection {
    pub(crate) stream: Box<dyn IoStream>,
    /// A second handle of the socket, outside the runtime. After a freeze the runtime has not yet
    /// been notified of the bytes that arrived meanwhile.
    pub(super) socket: std::net::TcpStream,
}

/// The future of [`Dialer::dial`].
type DialFuture<'a> =
    Pin<Box<dyn Future<Output = Result<RawConnection, RequestError>> + Send + 'a>>;

/// Opens connections to one endpoint. Cheap to create: the TLS configuration is set up by the first
/// connection.
#[derive(Debug)]
pub(crate) struct Dialer {
    pub(crate) endpoint: Endpoint,
    /// Proxy for connections to the endpoint; `None` means a direct connection.
    pub(crate) proxy: Option<Proxy>,
    pub(crate) tls: Tls,
}

impl Dialer {
    /// Connects. The future is boxed, because it is large, seldom needed, and would otherwise be
    /// part of every flush's state. It is not returned by an `async fn`, because every crate that
    /// polls a flush would compile a copy of it, including TLS.
    pub(crate) fn dial(&self) -> DialFuture<'_> {
        Box::pin(self.dial_unboxed())
    }

    async fn dial_unboxed(&self) -> Result<RawConnection, RequestError> {
        let tcp = match &self.proxy {
            None => connect(&self.endpoint)
                .await
                .map_err(RequestError::Connect)?,
            Some(proxy) => connect(&proxy.endpoint)
                .await
                .map_err(|error| RequestError::ConnectProxy(proxy.endpoint.authority(), error))?,
        };
        // Each request is written in one go, so Nagle's algorithm would only delay it.
        tcp.set_nodelay(true).map_err(RequestError::Connect)?;
        let (tcp, socket) = duplicate(tcp).map_err(RequestError::Connect)?;
        if let Some(proxy) = &self.proxy {
            tunnel::open(&tcp, proxy, &self.endpoint).await?;
        }
        let stream: Box<dyn IoStream> = if self.endpoint.tls {
            Box::new(self.tls.connect(&self.endpoint.host, tcp).await?)
        } else {
            Box::new(tcp)
        };
        Ok(RawConnection { stream, socket })
    }
}

/// Returns two handles of the socket. Both are non-blocking.
fn duplicate(tcp: TcpStream) -> io::Result<(TcpStream, std::net::TcpStream)> {
    let socket = tcp.into_std()?;
    Ok((TcpStream::from_std(socket.try_clone()?)?, socket))
}

/// Connects to a host and port. Resolving a name takes a thread of tokio's blocking pool, which
/// calls the system's resolver. `localhost`, the default host and that of sidecars and extensions,
/// needs no resolver (RFC 6761, section 6.3).
async fn connect(endpoint: &Endpoint) -> io::Result<TcpStream> {
    if endpoint.host.eq_ignore_ascii_case("localhost") {
        let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, endpoint.port));
        let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, endpoint.port));
        return TcpStream::connect([v4, v6].as_slice()).await;
    }
    TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await
}
