//! One connection, driven by whoever uses it.

use super::{Frames, Response, SendError};
use crate::endpoint::Endpoint;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Collectors answer with a few bytes; whoever sends more than this is none.
pub(super) const MAX_RESPONSE: usize = 256 * 1024;

/// What a connection reads from and writes to.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type Driver = http1::Connection<TokioIo<Box<dyn Stream>>, Frames>;

pub(super) struct Connection {
    sender: http1::SendRequest<Frames>,
    driver: Driver,
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) async fn open(endpoint: &Endpoint, tls: &Tls) -> Result<Self, SendError> {
        let tcp = connect(endpoint).await.map_err(SendError::Connect)?;
        // A request is written whole: waiting for more to send (Nagle) would only delay it.
        tcp.set_nodelay(true).map_err(SendError::Connect)?;
        let stream: Box<dyn Stream> = match endpoint.tls {
            true => Box::new(tls.connect(&endpoint.host, tcp).await?),
            false => Box::new(tcp),
        };
        let (sender, driver) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(SendError::Http)?;
        Ok(Self { sender, driver })
    }

    pub(super) async fn exchange(
        &mut self,
        request: Request<Frames>,
    ) -> Result<Response, SendError> {
        let response = self.sender.send_request(request);
        let read = async {
            let (head, body) = response.await.map_err(SendError::Http)?.into_parts();
            Ok(Response {
                status: head.status,
                body: read_body(body).await?,
            })
        };
        drive(&mut self.driver, read).await
    }

    /// Whether the peer left the connection open behind the last answer. Asked once, not waited for: the answer is there already, and a
    /// peer that holds the connection back must not hold its caller back.
    pub(super) async fn is_reusable(&mut self) -> bool {
        let mut ready = pin!(drive(&mut self.driver, self.sender.ready()));
        poll_fn(|context| Poll::Ready(matches!(ready.as_mut().poll(context), Poll::Ready(Ok(())))))
            .await
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

async fn read_body(body: Incoming) -> Result<Bytes, SendError> {
    match Limited::new(body, MAX_RESPONSE).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(SendError::ResponseTooLong),
        Err(error) => match error.downcast::<hyper::Error>() {
            Ok(error) => Err(SendError::Http(*error)),
            Err(_) => Err(SendError::ResponseTooLong),
        },
    }
}

/// Waits for `exchange` while the connection does its input and output on the same task.
async fn drive<F: Future>(driver: &mut Driver, exchange: F) -> F::Output {
    let mut exchange = pin!(exchange);
    let mut driver = Some(driver);
    poll_fn(|context| {
        // A connection that has ended must not be polled again; what it read before that is still to be had.
        if let Some(open) = driver.as_mut()
            && Pin::new(open).poll(context).is_ready()
        {
            driver = None;
        }
        match exchange.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(output),
            // What the exchange has just asked for is written in this same turn.
            Poll::Pending => {
                if let Some(open) = driver.as_mut()
                    && Pin::new(open).poll(context).is_ready()
                {
                    driver = None;
                    return exchange.as_mut().poll(context);
                }
                Poll::Pending
            }
        }
    })
    .await
}

/// TLS with compiled-in roots, set up at the first use: reading certificates from a directory would cost milliseconds of every cold start.
#[derive(Default)]
pub(super) struct Tls(OnceLock<TlsConnector>);

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    async fn connect(
        &self,
        host: &str,
        tcp: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, SendError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| SendError::ServerName)?;
        let connector = match self.0.get() {
            Some(connector) => connector,
            None => {
                let config = client_config().map_err(SendError::Tls)?;
                self.0.get_or_init(|| TlsConnector::from(Arc::new(config)))
            }
        };
        connector.connect(name, tcp).await.map_err(SendError::Tls)
    }
}

fn client_config() -> io::Result<ClientConfig> {
    let roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
