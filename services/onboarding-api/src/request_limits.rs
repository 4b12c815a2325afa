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

/// Part of a request's time limit that is reserved for the response: before it, the body must have
/// arrived and the sends of a batch must have ended. Encoding a hundred results takes far less. It
/// is shorter than one second, the minimum difference between `REQUEST_TIMEOUT` and
/// `DELIVERY_TIMEOUT`.
const RESPONSE_RESERVE: Duration = Duration::from_millis(250);

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

/// The time at which a request times out. The limit starts when the head has been received.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestDeadline {
    limit: Duration,
    started_at: Instant,
}

impl RequestDeadline {
    pub(crate) fn start(limit: Duration) -> Self {
        Self {
            limit,
            started_at: Instant::now(),
        }
    }

    /// Returns the response of a handler, or an error response if it takes too long. Its future is
    /// then dropped.
    pub(crate) async fn timeout_response(
        &self,
        response: impl Future<Output = Response>,
    ) -> Response {
        match timeout_at(self.started_at + self.limit, response).await {
            Ok(response) => response,
            Err(_) => Problem::timed_out(self.limit).into_response(),
        }
    }

    /// Returns the time limit of the request, without the part that is reserved for the response.
    pub(crate) fn processing_timeout(&self) -> Duration {
        self.limit.saturating_sub(RESPONSE_RESERVE)
    }

    /// Returns the result of a send. A send that has not ended when the part of the time limit for
    /// the response begins is dropped.
    ///
    /// # Errors
    ///
    /// Returns a problem that states whether the message may have been sent.
    pub(crate) async fn timeout_send<T>(
        &self,
        send: impl Future<Output = T>,
    ) -> Result<T, Problem> {
        let deadline = self.started_at + self.processing_timeout();
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
        let limit = RequestDeadline::start(RESPONSE_RESERVE);
        let problem = limit.timeout_send(async {}).await.unwrap_err();
        assert_eq!(problem.status(), StatusCode::GATEWAY_TIMEOUT);
        let document = problem.document();
        assert!(document.detail.contains("was not sent"), "{document:?}");
    }
}
