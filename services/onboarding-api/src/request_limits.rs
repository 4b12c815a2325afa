//! The limits of requests that are in progress.
//!
//! The semaphore and the timer are tokio's. The layers of tower and tower-http for the same limits
//! return an error or an empty body, and need two more boxed futures per request to turn that into
//! a problem document.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::problem::Problem;

/// The limits. Clones share the count of requests.
#[derive(Debug, Clone)]
pub(crate) struct RequestLimits {
    permits: Arc<Semaphore>,
    timeout: Duration,
}

impl RequestLimits {
    pub(crate) fn new(max_concurrent_requests: usize, timeout: Duration) -> Self {
        let permits = max_concurrent_requests.min(Semaphore::MAX_PERMITS);
        Self {
            permits: Arc::new(Semaphore::new(permits)),
            timeout,
        }
    }

    /// Returns the response of a handler, or an error response if there are already too many
    /// requests in progress or the handler takes too long. Its future is then dropped.
    pub(crate) async fn apply(&self, response: impl Future<Output = Response>) -> Response {
        let Ok(_permit) = self.permits.try_acquire() else {
            return Problem::overloaded().into_response();
        };
        match timeout(self.timeout, response).await {
            Ok(response) => response,
            Err(_) => Problem::timed_out(self.timeout).into_response(),
        }
    }
}
