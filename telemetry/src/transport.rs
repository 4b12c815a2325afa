//! OTLP requests and their responses, over HTTP or gRPC.

use std::pin::Pin;
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::time::{Instant, timeout_at};

use self::wrong_endpoint::{EndpointHint, UnexpectedResponse};
use crate::config::{OtlpCompression, OtlpConfig, OtlpProtocol};
use crate::otlp::{PartialSuccess, Signal};
use crate::transport::client::{
    ApplicationProtocol, BufList, Dialer, HttpClient, IncompleteBody, RequestError, Tls,
};

pub(crate) mod client;
#[cfg(feature = "grpc")]
mod grpc;
mod gzip;
mod http;
mod status;
mod wrong_endpoint;

pub(crate) use status::ResponseStatus;
pub(crate) use wrong_endpoint::WrongEndpoint;

const USER_AGENT: (HeaderName, HeaderValue) = (
    header::USER_AGENT,
    HeaderValue::from_static(concat!("baton-telemetry/", env!("CARGO_PKG_VERSION"))),
);
/// Maximum timeout of a request. A longer one could overflow the clock, which panics.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// Maximum delay before a retry that a collector can ask for. It limits what is added to the clock,
/// and an estimate of more than a day means nothing.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The reason why a request was not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    #[error("the request failed")]
    Request(#[from] RequestError),
    /// The collector does not accept the request now. The same request may succeed later.
    #[error("collector temporarily unavailable: {status}")]
    Retryable {
        status: ResponseStatus,
        /// Time after which the collector accepts a retry, if it states one.
        retry_after: Option<Duration>,
    },
    /// The collector will never accept this request, but may accept others.
    #[error("collector rejected the request: {0}")]
    NonRetryable(ResponseStatus),
    /// The endpoint does not accept this form of OTLP, regardless of the request's content.
    #[error(transparent)]
    WrongEndpoint(#[from] WrongEndpoint),
    /// The status was a success, but the response that acknowledges the request is incomplete. The
    /// collector may have accepted the request, which is still resent or spilled, because a
    /// duplicate is better than a loss.
    #[error("the collector responded with {status}, but did not acknowledge the request: {reason}")]
    Unacknowledged {
        status: ::http::StatusCode,
        reason: IncompleteBody,
    },
}

impl TransportError {
    fn retryable(status: ResponseStatus, retry_after: Option<Duration>) -> Self {
        Self::Retryable {
            status,
            retry_after: retry_after.map(|delay| delay.min(MAX_RETRY_AFTER)),
        }
    }

    /// Returns true if the collector rejected the credentials of the request. The request may
    /// succeed with others.
    pub(crate) fn is_unauthorized(&self) -> bool {
        match self {
            Self::Request(_) | Self::WrongEndpoint(_) | Self::Unacknowledged { .. } => false,
            Self::Retryable { status, .. } | Self::NonRetryable(status) => status.is_unauthorized(),
        }
    }
}

/// The future of [`Transport::send`].
pub(crate) type SendFuture<'a> =
    Pin<Box<dyn Future<Output = Result<PartialSuccess, TransportError>> + Send + 'a>>;

/// Sends requests to the endpoint of one signal.
#[derive(Debug)]
pub(crate) struct Transport {
    client: ProtocolClient,
    compression: OtlpCompression,
    timeout: Duration,
    hint: EndpointHint,
}

#[derive(Debug)]
enum ProtocolClient {
    Http(HttpClient),
    #[cfg(feature = "grpc")]
    Grpc(grpc::GrpcClient),
}

impl Transport {
    /// Creates a transport. This is cheap: the connection and the TLS configuration are set up by
    /// the first request.
    pub(crate) fn new(signal: Signal, otlp: &OtlpConfig) -> Self {
        let dialer = |protocol| Dialer {
            endpoint: otlp.endpoint.clone(),
            proxy: otlp.proxy.clone(),
            tls: Tls::new(otlp.certificates.clone(), protocol),
        };
        let client = match otlp.protocol {
            OtlpProtocol::HttpProtobuf => {
                let dialer = dialer(ApplicationProtocol::Http1);
                ProtocolClient::Http(HttpClient::from_dialer(dialer, HeaderMap::new()))
            }
            #[cfg(feature = "grpc")]
            OtlpProtocol::Grpc => {
                let dialer = dialer(ApplicationProtocol::Http2);
                ProtocolClient::Grpc(grpc::GrpcClient::new(signal, dialer))
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

    /// Sets headers for all further requests. They replace headers of the same name, except those
    /// that the protocol itself sets.
    pub(crate) fn set_headers(&self, mut headers: HeaderMap) {
        let is_compressed = self.compression == OtlpCompression::Gzip;
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

    /// Returns the deadline of a request that is sent now.
    pub(crate) fn request_deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Sends an `Export…ServiceRequest`, and returns the content of the `Export…ServiceResponse` if
    /// the collector accepts it. Times out at `deadline` or after the timeout of one request,
    /// whichever is first.
    ///
    /// The future is boxed instead of returned by an `async fn`, because every crate that polls a
    /// flush would otherwise compile a copy of it.
    pub(crate) fn send(&self, request: BufList, deadline: Instant) -> SendFuture<'_> {
        Box::pin(self.send_unboxed(request, deadline))
    }

    async fn send_unboxed(
        &self,
        mut request: BufList,
        deadline: Instant,
    ) -> Result<PartialSuccess, TransportError> {
        let deadline = deadline.min(self.request_deadline());
        let is_compressed = self.compression == OtlpCompression::Gzip;
        if is_compressed {
            let compressed = timeout_at(deadline, gzip::compress(request)).await;
            let compressed = compressed.map_err(|_| RequestError::Timeout)?;
            request = compressed.map_err(RequestError::Compress)?;
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
            TransportError::Request(error) if error.is_protocol_mismatch() => WrongEndpoint {
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
