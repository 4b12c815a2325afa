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
use tokio::time::timeout;

use crate::problem::Problem;

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

/// Returns the response of a handler, or an error response if it takes too long. Its future is then
/// dropped.
pub(crate) async fn limit_time(
    response: impl Future<Output = Response>,
    limit: Duration,
) -> Response {
    match timeout(limit, response).await {
        Ok(response) => response,
        Err(_) => Problem::timed_out(limit).into_response(),
    }
}
