//! The limits of requests that are in progress.
//!
//! The semaphore and the timer are tokio's. The layers of tower and tower-http for the same limits
//! return an error or an empty body, and need two more boxed futures per request to turn that into
//! a problem document.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use crate::problem::Problem;

/// Time before the end of a request's time limit at which its body must have arrived, and the sends
/// of a batch end, so that the response is sent in time. It is far longer than the encoding of a
/// hundred results takes, and shorter than the second by which `REQUEST_TIMEOUT` at least exceeds
/// `DELIVERY_TIMEOUT`.
const RESPONSE_TIME: Duration = Duration::from_millis(250);

/// The limit of requests in progress. Clones share the count.
///
/// A request counts once its body has been received. Otherwise clients that never finish their
/// bodies would keep others out.
#[derive(Debug, Clone)]
pub(crate) struct ConcurrencyLimit(Arc<Semaphore>);

impl ConcurrencyLimit {
    pub(crate) fn new(maximum: usize) -> Self {
        let permits = maximum.min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(permits)))
    }

    /// Counts a request until the permit is dropped.
    ///
    /// # Errors
    ///
    /// Returns a problem if the maximum is reached.
    pub(crate) fn try_acquire(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.0.try_acquire().map_err(|_| Problem::overloaded())
    }
}

/// The time limit of a request. It starts when the head has been received.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeLimit {
    limit: Duration,
    started_at: Instant,
}

impl TimeLimit {
    pub(crate) fn start(limit: Duration) -> Self {
        Self {
            limit,
            started_at: Instant::now(),
        }
    }

    /// Returns the response of a handler, or an error response if it takes too long. Its future is
    /// then dropped.
    pub(crate) async fn limit_response(
        &self,
        response: impl Future<Output = Response>,
    ) -> Response {
        match timeout_at(self.started_at + self.limit, response).await {
            Ok(response) => response,
            Err(_) => Problem::timed_out(self.limit).into_response(),
        }
    }

    /// Returns the limit without the time for the response.
    pub(crate) fn without_response_time(&self) -> Duration {
        self.limit.saturating_sub(RESPONSE_TIME)
    }

    /// Returns the result of a send, unless it takes so long that the response would be late. Its
    /// future is then dropped.
    ///
    /// # Errors
    ///
    /// Returns a problem that states if the message may have been sent.
    pub(crate) async fn limit_send<T>(&self, send: impl Future<Output = T>) -> Result<T, Problem> {
        let deadline = self.started_at + self.without_response_time();
        if Instant::now() >= deadline {
            return Err(Problem::timed_out_before_send(self.limit));
        }
        let sent = timeout_at(deadline, send).await;
        sent.map_err(|_| Problem::timed_out(self.limit))
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[tokio::test]
    async fn a_send_does_not_start_after_the_time_limit() {
        let limit = TimeLimit::start(RESPONSE_TIME);
        let problem = limit.limit_send(async {}).await.unwrap_err();
        assert_eq!(problem.status(), StatusCode::GATEWAY_TIMEOUT);
        let document = problem.document();
        assert!(document.detail.contains("was not sent"), "{document:?}");
    }
}
