//! One OTLP request and its answer, whatever carries them.

use std::pin::Pin;
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::time::{Instant, timeout_at};

use self::wrong_endpoint::{EndpointHint, UnexpectedResponse};
use crate::config::{Compression, Otlp, Protocol};
use crate::otlp::{PartialSuccess, Signal};
use crate::transport::client::{
    ApplicationProtocol, BufList, Client, Dialer, IncompleteBody, SendError, Tls,
};

pub(crate) mod client;
#[cfg(feature = "grpc")]
mod grpc;
mod gzip;
mod http;
mod status;
mod wrong_endpoint;

pub(crate) use status::Status;
pub(crate) use wrong_endpoint::WrongEndpoint;

const USER_AGENT: (HeaderName, HeaderValue) = (
    header::USER_AGENT,
    HeaderValue::from_static(concat!("baton-telemetry/", env!("CARGO_PKG_VERSION"))),
);
/// However long a request may take by its configuration: what is longer than the clock can count
/// would be a panic.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// However late a collector wants to be asked again. By then much else has changed, and it is a
/// time that can be added to the clock's.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a request was not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    #[error("the request failed")]
    Send(#[from] SendError),
    /// The collector does not take the request now, and the same one may succeed later.
    #[error("collector temporarily unavailable: {status}")]
    Retryable {
        status: Status,
        /// When the collector wants to be asked again, if it says so.
        retry_after: Option<Duration>,
    },
    /// The collector will never accept this request, but may accept others.
    #[error("collector rejected the request: {0}")]
    NonRetryable(Status),
    /// The endpoint does not accept this form of OTLP, regardless of the request's content.
    #[error(transparent)]
    WrongEndpoint(#[from] WrongEndpoint),
    /// The status was a success, but the response that acknowledges the request is incomplete. The
    /// collector may have accepted the request, which is still resent or spilled, because a
    /// duplicate is better than a loss.
    #[error("the collector answered {status}, but did not acknowledge the request: {reason}")]
    Unacknowledged {
        status: ::http::StatusCode,
        reason: IncompleteBody,
    },
}

impl TransportError {
    fn retryable(status: Status, retry_after: Option<Duration>) -> Self {
        Self::Retryable {
            status,
            retry_after: retry_after.map(|delay| delay.min(MAX_RETRY_AFTER)),
        }
    }

    /// The request's keys were not accepted: with others it may be.
    pub(crate) fn is_unauthorized(&self) -> bool {
        match self {
            Self::Send(_) | Self::WrongEndpoint(_) | Self::Unacknowledged { .. } => false,
            Self::Retryable { status, .. } | Self::NonRetryable(status) => status.is_unauthorized(),
        }
    }
}

/// A request that is on its way.
pub(crate) type SendFuture<'a> =
    Pin<Box<dyn Future<Output = Result<PartialSuccess, TransportError>> + Send + 'a>>;

/// The way to one signal's endpoint.
#[derive(Debug)]
pub(crate) struct Transport {
    client: ProtocolClient,
    compression: Compression,
    timeout: Duration,
    hint: EndpointHint,
}

#[derive(Debug)]
enum ProtocolClient {
    Http(Client),
    #[cfg(feature = "grpc")]
    Grpc(grpc::Client),
}

impl Transport {
    /// Cheap: nothing is connected, and no TLS set up, before the first request.
    pub(crate) fn new(signal: Signal, otlp: &Otlp) -> Self {
        let dialer = |protocol| Dialer {
            endpoint: otlp.endpoint.clone(),
            proxy: otlp.proxy.clone(),
            tls: Tls::new(otlp.certificates.clone(), protocol),
        };
        let client = match otlp.protocol {
            Protocol::HttpProtobuf => {
                let dialer = dialer(ApplicationProtocol::Http1);
                ProtocolClient::Http(Client::from_dialer(dialer, HeaderMap::new()))
            }
            #[cfg(feature = "grpc")]
            Protocol::Grpc => {
                let dialer = dialer(ApplicationProtocol::Http2);
                ProtocolClient::Grpc(grpc::Client::new(signal, dialer))
            }
        };
        let transport = Self {
            client,
            compression: otlp.compression,
            timeout: otlp.timeout.min(MAX_TIMEOUT),
            hint: EndpointHint::new(signal, otlp.protocol, &otlp.endpoint),
        };
        transport.set_headers(otlp.headers.clone());
        transport
    }

    /// Takes headers that were fetched again: they replace those of the same name, in all further
    /// requests. Those that are OTLP's own matter stay as they are.
    pub(crate) fn set_headers(&self, mut headers: HeaderMap) {
        let is_compressed = self.compression == Compression::Gzip;
        let (name, user_agent) = USER_AGENT;
        headers.insert(name, user_agent);
        match &self.client {
            ProtocolClient::Http(client) => {
                for (name, value) in http::protocol_headers(is_compressed) {
                    headers.insert(name, value);
                }
                client.set_headers(headers);
            }
            #[cfg(feature = "grpc")]
            ProtocolClient::Grpc(client) => client.set_headers(headers, is_compressed),
        }
    }

    /// The end of one request's time, were it sent now.
    pub(crate) fn request_deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Sends an `Export…ServiceRequest`, and returns the content of the `Export…ServiceResponse` if
    /// the collector accepts it. Ends at `deadline` or at the timeout of one request, whichever is
    /// first.
    ///
    /// On the heap, and not as an `async fn`, of which every crate in which a flush is polled would
    /// get copies.
    pub(crate) fn send(&self, request: BufList, deadline: Instant) -> SendFuture<'_> {
        Box::pin(self.send_unboxed(request, deadline))
    }

    async fn send_unboxed(
        &self,
        mut request: BufList,
        deadline: Instant,
    ) -> Result<PartialSuccess, TransportError> {
        let deadline = deadline.min(self.request_deadline());
        let is_compressed = self.compression == Compression::Gzip;
        if is_compressed {
            let compressed = timeout_at(deadline, gzip::compress(request)).await;
            let compressed = compressed.map_err(|_| SendError::Timeout)?;
            request = compressed.map_err(SendError::Compress)?;
        }
        let hint = self.hint;
        let outcome = match &self.client {
            ProtocolClient::Http(client) => http::send(client, request, deadline, hint).await,
            #[cfg(feature = "grpc")]
            ProtocolClient::Grpc(client) => {
                client.send(request, is_compressed, deadline, hint).await
            }
        };
        outcome.map_err(|error| match error {
            TransportError::Send(error) if error.is_protocol_mismatch() => WrongEndpoint {
                response: UnexpectedResponse::Protocol(error),
                hint,
            }
            .into(),
            other => other,
        })
    }
}

#[cfg(test)]
mod tests;
