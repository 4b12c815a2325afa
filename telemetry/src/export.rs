//! Sends what the buffer holds to an OTLP collector over HTTP.

use crate::buffer::{Chunk, SpanBuffer, Taken};
use crate::config::Otlp;
use crate::encode::{self, ResourceFrame};
use crate::http::{Client, Frames, SendError};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Requests are cut below this: collectors take 4 MiB by default, and the headers of the protocol count.
const MAX_REQUEST_BYTES: usize = 3 * 1024 * 1024 + 512 * 1024;
/// OTLP/HTTP with binary protobuf (OTLP specification, "OTLP/HTTP Request").
const CONTENT_TYPE: (HeaderName, HeaderValue) = (
    header::CONTENT_TYPE,
    HeaderValue::from_static("application/x-protobuf"),
);
const USER_AGENT: (HeaderName, HeaderValue) = (
    header::USER_AGENT,
    HeaderValue::from_static(concat!("baton-telemetry/", env!("CARGO_PKG_VERSION"))),
);

/// Why spans are still in the buffer, or gone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    #[error("no answer within the time for it")]
    Timeout,
    #[error("the request failed")]
    Send(#[from] SendError),
    /// The collector cannot take the spans now, and the same request may succeed later.
    #[error("the collector answered {0}, which may pass")]
    Unavailable(StatusCode),
    /// The collector will never take them.
    #[error("the collector refused the spans with {0}")]
    Refused(StatusCode),
}

#[derive(Debug)]
pub(crate) struct Exporter {
    client: Client,
    timeout: Duration,
}

impl Exporter {
    pub(crate) fn new(otlp: &Otlp) -> Self {
        let mut headers = otlp.headers.clone();
        headers.extend([CONTENT_TYPE, USER_AGENT]);
        Self {
            client: Client::new(otlp.endpoint.clone(), headers),
            timeout: otlp.timeout,
        }
    }

    /// Sends everything that has finished, request by request, until all is sent, one fails or `deadline` is there.
    pub(crate) async fn export(
        &self,
        buffer: &SpanBuffer,
        deadline: Instant,
    ) -> Result<(), ExportError> {
        let mut taken = buffer.take();
        let resource = buffer.resource();
        let mut outcome = Ok(());
        loop {
            let chunks = taken.next_request(MAX_REQUEST_BYTES);
            if chunks.is_empty() {
                return outcome;
            }
            let (count, body) = (chunks.len(), request_body(&resource, chunks));
            match self.send(body, deadline).await {
                Ok(()) => taken.exported(count),
                Err(refused @ ExportError::Refused(_)) => {
                    // What the collector refuses for good must not stand in the way of what comes after it.
                    taken.dropped(count);
                    outcome = Err(refused);
                }
                Err(passing) => return give_back(taken, passing),
            }
        }
    }

    async fn send(&self, body: Frames, deadline: Instant) -> Result<(), ExportError> {
        let deadline = deadline.min(Instant::now() + self.timeout);
        let answer = timeout_at(deadline, self.client.send(Method::POST, &[], body));
        let response = answer.await.map_err(|_| ExportError::Timeout)??;
        match response.status {
            status if status.is_success() => Ok(()),
            // The codes that the OTLP specification calls retryable.
            status @ (StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT) => Err(ExportError::Unavailable(status)),
            status => Err(ExportError::Refused(status)),
        }
    }
}

/// Dropping what was taken puts it back into the buffer.
fn give_back(taken: Taken, error: ExportError) -> Result<(), ExportError> {
    drop(taken);
    Err(error)
}

fn request_body(resource: &ResourceFrame, chunks: &[Chunk]) -> Frames {
    let opened: Vec<(Vec<u8>, &Bytes)> = chunks
        .iter()
        .map(|chunk| (encode::open_scope_spans(chunk.bytes.len()), &chunk.bytes))
        .collect();
    let length = opened
        .iter()
        .map(|(head, bytes)| head.len() + bytes.len())
        .sum();
    let mut body = Frames::default();
    body.push(encode::open_request(resource, length).into());
    for (head, bytes) in opened {
        body.push(head.into());
        body.push(bytes.clone());
    }
    body.push(Bytes::copy_from_slice(&resource.tail));
    body
}
