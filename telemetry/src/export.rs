//! Sends what the buffer holds to an OTLP collector over HTTP.

mod failures;
mod partial_success;

use crate::buffer::{Chunk, SpanBuffer, Taken, Whose};
use crate::config::Otlp;
use crate::encode::{self, ResourceFrame};
use crate::http::{Client, Frames, SendError};
use bytes::{Buf as _, Bytes};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use opentelemetry_sdk::Resource;
use partial_success::PartialSuccess;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

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
    /// The collector does not take the spans now, and the same request may succeed later.
    #[error("the collector answered {0}, which may pass")]
    Unavailable(StatusCode),
    /// The collector will never take them.
    #[error("the collector refused the spans with {0}")]
    Refused(StatusCode),
}

/// What one flush sent by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// Spans that the collector acknowledged.
    pub spans: u64,
    /// Requests, however they ended.
    pub requests: u64,
    /// Bytes of these requests' bodies.
    pub bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Exporter {
    pub(crate) failures: failures::Failures,
    client: Client,
    timeout: Duration,
    resource: ResourceFrame,
    /// Held by an export for everyone. Whoever waits for it finds its own spans sent, or sends what has gathered meanwhile.
    turn: Mutex<()>,
}

impl Exporter {
    pub(crate) fn new(otlp: &Otlp, resource: &Resource) -> Self {
        let mut headers = otlp.headers.clone();
        headers.extend([CONTENT_TYPE, USER_AGENT]);
        Self {
            failures: failures::Failures::new(otlp.endpoint.clone()),
            client: Client::new(otlp.endpoint.clone(), &headers),
            timeout: otlp.timeout,
            resource: encode::resource(resource),
            turn: Mutex::new(()),
        }
    }

    /// The end of one request's time, were it sent now.
    pub(crate) fn patience(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Sends such spans as have finished, request by request, until all is sent, one fails or `deadline` is there.
    ///
    /// Spans that another call has taken are that call's to send, and this one returns only when they are settled. Exports for everyone do
    /// not overlap; others run beside them and beside each other. What is sent is added to `sent` at once.
    pub(crate) async fn export(
        &self,
        buffer: &SpanBuffer,
        whose: Whose<'_>,
        deadline: Instant,
        sent: &mut Sent,
    ) -> Result<(), ExportError> {
        let _turn = match whose {
            Whose::Everyone => Some(before(deadline, self.turn.lock()).await?),
            Whose::Group(_) | Whose::Nobody => None,
        };
        let mut taken = buffer.take(whose);
        let first = taken.number();
        let mut outcome = Ok(());
        loop {
            match self.send_all(taken, deadline, sent).await {
                Ok(()) => {}
                Err(refused @ ExportError::Refused(_)) => outcome = Err(refused),
                Err(passing) => return Err(passing),
            }
            match before(deadline, buffer.take_returned(whose, first)).await? {
                Some(returned) => taken = returned,
                None => return outcome,
            }
        }
    }

    async fn send_all(
        &self,
        mut taken: Taken,
        deadline: Instant,
        sent: &mut Sent,
    ) -> Result<(), ExportError> {
        let mut limit = MAX_REQUEST_BYTES;
        let mut outcome = Ok(());
        loop {
            let chunks = taken.next_request(limit);
            if chunks.is_empty() {
                return outcome;
            }
            let (count, body) = (chunks.len(), request_body(&self.resource, chunks));
            sent.requests += 1;
            sent.bytes += body.remaining() as u64;
            match self.send(body, deadline).await {
                Ok(answer) => {
                    drop_rejected(&mut taken, count, &answer);
                    sent.spans += taken.exported(count);
                }
                // One span may be to blame: the rest is tried chunk by chunk.
                Err(ExportError::Refused(_)) if count > 1 => limit = 0,
                Err(refused @ ExportError::Refused(_)) => {
                    // What the collector refuses for good must not stand in the way of what comes after it.
                    taken.dropped(count);
                    outcome = Err(refused);
                }
                // Dropping what was taken puts it back into the buffer.
                Err(passing) => return Err(passing),
            }
        }
    }

    /// Returns what an accepting collector has to say.
    async fn send(&self, body: Frames, deadline: Instant) -> Result<Bytes, ExportError> {
        let deadline = deadline.min(self.patience());
        let answer = self.client.send(Method::POST, &[], body, deadline);
        let response = answer.await?;
        match response.status {
            status if status.is_success() => Ok(response.body),
            // The codes that the OTLP specification calls retryable, and those of a key that is being renewed.
            status @ (StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT) => Err(ExportError::Unavailable(status)),
            status => Err(ExportError::Refused(status)),
        }
    }
}

/// Spans that the collector rejected although it accepted the request. It does not say which, and they must not be sent again.
fn drop_rejected(taken: &mut Taken, chunks: usize, answer: &[u8]) {
    if let Some(partial) = PartialSuccess::read(answer) {
        let spans = taken.rejected(chunks, partial.rejected_spans);
        warn!(
            spans,
            collector_message = &*partial.message(),
            "spans rejected by the collector"
        );
    }
}

/// Waits for what is usually there at once, and only otherwise sets a timer.
async fn before<F: Future>(deadline: Instant, future: F) -> Result<F::Output, ExportError> {
    let mut future = pin!(future);
    let at_once = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
    if let Poll::Ready(output) = at_once {
        return Ok(output);
    }
    let outcome = timeout_at(deadline, future).await;
    outcome.map_err(|_| ExportError::Timeout)
}

fn request_body(resource: &ResourceFrame, chunks: &[Chunk]) -> Frames {
    let lengths = chunks.iter().map(|chunk| chunk.bytes.len());
    let length = lengths.map(encode::scope_spans_length).sum();
    let mut head = encode::open_request(resource, length);
    // Each chunk with what is before it, the resource's tail, and the head of the protocol that carries this.
    let mut body = Frames::with_capacity(2 * chunks.len() + 2);
    for chunk in chunks {
        encode::open_scope_spans(&mut head, chunk.bytes.len());
        body.push(std::mem::take(&mut head).into());
        body.push(chunk.bytes.clone());
    }
    body.push(resource.tail.clone());
    body
}
