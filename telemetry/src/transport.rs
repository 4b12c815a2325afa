//! One OTLP request and its answer, whatever carries them.

mod gzip;
mod status;

pub(crate) use status::Status;

use crate::config::{Compression, Otlp};
use crate::http::{ApplicationProtocol, Client, Dialer, Frames, Response, SendError, Tls};
use crate::signal::Signal;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use status::Verdict;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, timeout_at};

/// OTLP/HTTP with binary protobuf (OTLP specification, "OTLP/HTTP Request").
const CONTENT_TYPE: (HeaderName, HeaderValue) = (
    header::CONTENT_TYPE,
    HeaderValue::from_static("application/x-protobuf"),
);
const CONTENT_ENCODING: (HeaderName, HeaderValue) =
    (header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
const USER_AGENT: (HeaderName, HeaderValue) = (
    header::USER_AGENT,
    HeaderValue::from_static(concat!("baton-telemetry/", env!("CARGO_PKG_VERSION"))),
);

/// Why a request was not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    #[error("the request failed")]
    Send(#[from] SendError),
    /// The collector does not take the request now, and the same one may succeed later.
    #[error("the collector answered {status}, which may pass")]
    Unavailable {
        status: Status,
        /// When the collector wants to be asked again, if it says so.
        retry_after: Option<Duration>,
    },
    /// The collector will never take it.
    #[error("the collector refused the request with {0}")]
    Refused(Status),
}

impl TransportError {
    /// The request's keys were not accepted: with others it may be.
    pub(crate) fn is_unauthorized(&self) -> bool {
        match self {
            Self::Send(_) => false,
            Self::Unavailable { status, .. } | Self::Refused(status) => status.is_unauthorized(),
        }
    }
}

/// The way to one signal's endpoint.
#[derive(Debug)]
pub(crate) struct Transport {
    client: Client,
    compression: Compression,
    timeout: Duration,
}

impl Transport {
    /// Cheap: nothing is connected, and no TLS set up, before the first request.
    pub(crate) fn new(_signal: Signal, otlp: &Otlp) -> Self {
        let dialer = Dialer {
            endpoint: otlp.endpoint.clone(),
            tls: Tls::new(otlp.certificates.clone(), ApplicationProtocol::Http1),
        };
        let headers = with_own(otlp.headers.clone(), otlp.compression);
        Self {
            client: Client::with_dialer(dialer, headers),
            compression: otlp.compression,
            timeout: otlp.timeout,
        }
    }

    /// Takes headers that were fetched again: they replace those of the same name, in all further requests.
    pub(crate) fn set_headers(&self, headers: HeaderMap) {
        self.client.set_headers(with_own(headers, self.compression));
    }

    /// The end of one request's time, were it sent now.
    pub(crate) fn patience(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Sends an `Export…ServiceRequest`, and returns the `Export…ServiceResponse` of a collector that has accepted it: before `deadline`,
    /// and before the end of one request's time.
    pub(crate) async fn send(
        &self,
        mut request: Frames,
        deadline: Instant,
    ) -> Result<Bytes, TransportError> {
        let deadline = deadline.min(self.patience());
        if self.compression == Compression::Gzip {
            let compressed = timeout_at(deadline, gzip::gzip(request)).await;
            request = compressed
                .map_err(|_| SendError::Timeout)?
                .map_err(SendError::Compress)?;
        }
        let answer = self.client.send(Method::POST, &[], request, deadline);
        accepted(answer.await?)
    }
}

/// The headers that OTLP itself has: whatever else is said of these, the requests are as they are.
fn with_own(mut headers: HeaderMap, compression: Compression) -> HeaderMap {
    let encoding = (compression == Compression::Gzip).then_some(CONTENT_ENCODING);
    for (name, value) in [CONTENT_TYPE, USER_AGENT].into_iter().chain(encoding) {
        headers.insert(name, value);
    }
    headers
}

fn accepted(response: Response) -> Result<Bytes, TransportError> {
    match status::verdict(response.status) {
        Verdict::Accepted => Ok(response.body),
        Verdict::Passing => {
            let after = response.retry_after;
            Err(TransportError::Unavailable {
                status: response.status.into(),
                retry_after: after.map(|after| after.from_now(SystemTime::now())),
            })
        }
        Verdict::Final => Err(TransportError::Refused(response.status.into())),
    }
}
