//! The readiness check, which asks SQS at most once a second.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::queue::OnboardingQueue;

/// Minimum time between the starts of two checks, and maximum age of a result. Load balancers check
/// every few seconds. SQS charges for each call, and any client can request `/readyz`.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The readiness of the queue. Clones share its result.
#[derive(Debug, Clone)]
pub(crate) struct Readiness {
    queue: OnboardingQueue,
    last: Arc<Mutex<Option<Check>>>,
}

/// The result of a check. The error is the `error.type`.
type CheckResult = Result<(), String>;

/// A check that has been started.
#[derive(Debug)]
struct Check {
    started_at: Instant,
    /// `None` until the check has finished.
    result: watch::Receiver<Option<CheckResult>>,
}

impl Readiness {
    pub(crate) fn new(queue: OnboardingQueue) -> Self {
        Self {
            queue,
            last: Arc::default(),
        }
    }

    /// Returns the result of a check that was started in the last second. Concurrent callers wait
    /// for the same check.
    ///
    /// # Errors
    ///
    /// Returns the `error.type` of a failed check.
    pub(crate) async fn check(&self) -> CheckResult {
        let mut result = self.last_or_new_check();
        let finished = result.wait_for(Option::is_some).await;
        // The sender is dropped without a result only if the check panicked.
        let result = finished.ok().and_then(|result| result.clone());
        result.unwrap_or_else(|| Err("panic".to_owned()))
    }

    fn last_or_new_check(&self) -> watch::Receiver<Option<CheckResult>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match last.as_ref() {
            Some(check) if check.started_at.elapsed() < CHECK_INTERVAL => check.result.clone(),
            _ => last.insert(self.start_check()).result.clone(),
        }
    }

    /// Starts a check in a task, so that it also finishes if the caller disconnects.
    fn start_check(&self) -> Check {
        let (sender, result) = watch::channel(None);
        let queue = self.queue.clone();
        let started_at = Instant::now();
        tokio::spawn(async move { sender.send_replace(Some(queue.check().await)) });
        Check { started_at, result }
    }
}
