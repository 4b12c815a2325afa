//! One OTLP request and its answer, whatever carries them.

use crate::config::Otlp;
use crate::endpoint::Endpoint;
use crate::http::{Client, Frames, SendError};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// OTLP/HTTP with binary protobuf (OTLP specification, "OTLP/HTTP Request").
const CONTENT_TYPE: (HeaderName, HeaderValue) = (
    header::CONTENT_TYPE,
    HeaderValue::from_static("application/x-protobuf"),
);
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
        status: StatusCode,
        /// When the collector wants to be asked again, if it says so.
        retry_after: Option<Duration>,
    },
    /// The collector will never take it.
    #[error("the collector refused the request with {0}")]
    Refused(StatusCode),
}

impl TransportError {
    /// Whether it is the headers that the collector does not accept.
    pub(crate) fn is_unauthorized(&self) -> bool {
        let unauthorized = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
        matches!(self, Self::Unavailable { status, .. } if unauthorized.contains(status))
    }
}

fn client(endpoint: &Endpoint, mut headers: HeaderMap) -> Arc<Client> {
    headers.extend([CONTENT_TYPE, USER_AGENT]);
    Arc::new(Client::new(endpoint.clone(), &headers))
}

/// The way to one signal's endpoint.
#[derive(Debug)]
pub(crate) struct Transport {
    endpoint: Endpoint,
    client: Mutex<Arc<Client>>,
    timeout: Duration,
}

impl Transport {
    pub(crate) fn new(otlp: &Otlp) -> Self {
        let endpoint = otlp.endpoint.clone();
        let client = client(&endpoint, otlp.headers.clone());
        Self {
            endpoint,
            client: Mutex::new(client),
            timeout: otlp.timeout,
        }
    }

    /// Has every request from now on carry these headers, instead of those that it was made with.
    pub(crate) fn set_headers(&self, headers: HeaderMap) {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) =
            client(&self.endpoint, headers);
    }

    /// The end of one request's time, were it sent now.
    pub(crate) fn patience(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Sends an `Export…ServiceRequest`, and returns the `Export…ServiceResponse` of a collector that has accepted it: before `deadline`,
    /// and before the end of one request's time.
    pub(crate) async fn send(
        &self,
        request: Frames,
        deadline: Instant,
    ) -> Result<Bytes, TransportError> {
        let deadline = deadline.min(self.patience());
        let client = {
            let client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(&client)
        };
        let answer = client.send(Method::POST, &[], request, deadline);
        let response = answer.await?;
        match response.status {
            status if status.is_success() => Ok(response.body),
            // The codes that the OTLP specification calls retryable, and those of a key that is being renewed.
            status @ (StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT) => Err(TransportError::Unavailable {
                status,
                retry_after: None,
            }),
            status => Err(TransportError::Refused(status)),
        }
    }
}
