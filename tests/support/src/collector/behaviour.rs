//! The responses of a collector.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;

/// The response to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CollectorResponse {
    /// Success.
    Ok,
    /// Success, this long after the request.
    Delay(Duration),
    /// Success, after which the collector closes the connection without announcing it, as a proxy
    /// does with an idle one.
    OkThenClose,
    /// A partial success that rejects this many spans, data points or log records, with the error
    /// message `over quota`.
    PartialSuccess(i64),
    /// This status with an empty body.
    Status(u16),
    /// Status 503 with this many seconds in `Retry-After`.
    RetryAfter(u32),
    /// These bytes, which are a whole HTTP response or the beginning of one.
    Raw(&'static str),
    /// No response. The request is read, and the connection stays open.
    Hang,
    /// No response. The request is read, and the connection is closed.
    Disconnect,
}

impl CollectorResponse {
    /// Returns `true` if the response acknowledges the request, so that the collector keeps its
    /// content. A [`Raw`](Self::Raw) response never does.
    #[must_use]
    pub fn is_success(self) -> bool {
        match self {
            Self::Ok | Self::Delay(_) | Self::OkThenClose | Self::PartialSuccess(_) => true,
            Self::Status(code) => (200..300).contains(&code),
            Self::RetryAfter(_) | Self::Raw(_) | Self::Hang | Self::Disconnect => false,
        }
    }
}

/// A rule that chooses the response to each request of one signal. Requests are counted per signal:
/// the first response of a script goes to the first request with spans even if a request with
/// metrics came before it.
#[derive(Clone)]
pub struct Behaviour(Arc<Rule>);

/// Arguments: the number of earlier requests, the headers, and the decompressed body.
type Rule = dyn Fn(usize, &HeaderMap, &Bytes) -> CollectorResponse + Send + Sync;

impl Behaviour {
    /// Gives these responses to the first requests and [`CollectorResponse::Ok`] to all later ones.
    #[must_use]
    pub fn script(responses: &[CollectorResponse]) -> Self {
        let responses = responses.to_vec();
        Self(Arc::new(move |earlier, _, _| {
            responses
                .get(earlier)
                .copied()
                .unwrap_or(CollectorResponse::Ok)
        }))
    }

    /// Gives `response` to every `nth` request: with 3, to the third, the sixth and so on. The
    /// others get [`CollectorResponse::Ok`].
    #[must_use]
    pub fn every(nth: usize, response: CollectorResponse) -> Self {
        Self(Arc::new(move |earlier, _, _| {
            if (earlier + 1).is_multiple_of(nth) {
                response
            } else {
                CollectorResponse::Ok
            }
        }))
    }

    /// Gives the response that `rule` chooses from the headers and the decompressed body.
    #[must_use]
    pub fn from_fn(
        rule: impl Fn(&HeaderMap, &Bytes) -> CollectorResponse + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move |_, headers, body| rule(headers, body)))
    }

    pub(super) fn choose(
        &self,
        earlier: usize,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> CollectorResponse {
        (self.0)(earlier, headers, body)
    }
}

impl From<CollectorResponse> for Behaviour {
    /// Gives the same response to every request.
    fn from(response: CollectorResponse) -> Self {
        Self::from_fn(move |_, _| response)
    }
}

impl fmt::Debug for Behaviour {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Behaviour").finish_non_exhaustive()
    }
}
