//! Log lines for failed exports, without repeating the same failure for every flush.
//!
//! If its collector is down, a function may fail to export a thousand times a minute.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::ExporterError;
use crate::error_chain::ErrorChain;
use crate::otlp::Signal;

/// Interval at which a lasting failure is logged again: short enough for a person who reads the
/// last minutes of a log.
const REPEAT_INTERVAL: Duration = Duration::from_secs(60);

/// Logs the failures of one exporter.
#[derive(Debug)]
pub(crate) struct FailureLog {
    signal: Signal,
    endpoint: String,
    last: Mutex<Option<LastFailure>>,
}

/// The failure that was logged last.
#[derive(Debug)]
struct LastFailure {
    text: String,
    at: Instant,
    /// Records exported before it. If the number has grown since, an export has succeeded.
    exported: u64,
    /// Failures that have not been logged since.
    suppressed: u64,
}

impl FailureLog {
    pub(crate) fn new(signal: Signal, endpoint: String) -> Self {
        Self {
            signal,
            endpoint,
            last: Mutex::default(),
        }
    }

    /// Logs a failure if it differs from the last one, is the first after a success, or has lasted
    /// for [`REPEAT_INTERVAL`]. `exported` is the number of records exported so far.
    pub(crate) fn log(&self, error: &ExporterError, exported: u64) {
        if let Some(suppressed) = self.should_log(ErrorChain::new(error).to_text(), exported) {
            warn!(
                endpoint = self.endpoint,
                error = error as &dyn Error,
                suppressed_failures = (suppressed > 0).then_some(suppressed),
                "{} not exported",
                self.signal.records(),
            );
        }
    }

    /// Returns the number of failures suppressed since the last line if this one is to be logged,
    /// and counts it as suppressed otherwise.
    fn should_log(&self, text: String, exported: u64) -> Option<u64> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut suppressed = 0;
        if let Some(last) = last.as_mut() {
            let is_same = last.text == text && last.exported == exported;
            if is_same && last.at.elapsed() < REPEAT_INTERVAL {
                last.suppressed += 1;
                return None;
            }
            suppressed = last.suppressed;
        }
        *last = Some(LastFailure {
            text,
            at: Instant::now(),
            exported,
            suppressed: 0,
        });
        Some(suppressed)
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use tokio::time::advance;

    use super::*;
    use crate::export::collector::DestinationError;
    use crate::logs;
    use crate::transport::TransportError;

    /// Logs the failure and returns the lines that were written.
    fn lines(
        failures: &FailureLog,
        error: &ExporterError,
        exported: u64,
    ) -> Vec<serde_json::Value> {
        logs::captured(|| failures.log(error, exported))
    }

    fn failures() -> FailureLog {
        FailureLog::new(Signal::Traces, "http://collector:4318/v1/traces".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_logged_with_its_endpoint_once_a_minute() {
        let failures = failures();
        let line = lines(&failures, &ExporterError::Timeout, 0).remove(0);
        assert_eq!(line["message"], "spans not exported");
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["endpoint"], "http://collector:4318/v1/traces");
        assert_eq!(line["error"], "timed out waiting for the collector");
        assert!(line.get("suppressed_failures").is_none());
        for _ in 0..3 {
            assert!(lines(&failures, &ExporterError::Timeout, 0).is_empty());
        }
        advance(REPEAT_INTERVAL).await;
        let line = lines(&failures, &ExporterError::Timeout, 0).remove(0);
        assert_eq!(line["suppressed_failures"], 3);
        assert!(lines(&failures, &ExporterError::Timeout, 0).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn another_failure_and_one_after_a_success_are_logged_immediately() {
        let failures = failures();
        let busy =
            ExporterError::Destination(DestinationError::Transport(TransportError::Retryable {
                status: StatusCode::SERVICE_UNAVAILABLE.into(),
                retry_after: None,
            }));
        for (error, exported, logged) in [
            (&ExporterError::Timeout, 0, 1),
            (&busy, 0, 1),
            (&busy, 0, 0),
            (&busy, 1, 1),
            (&busy, 1, 0),
            (&ExporterError::Timeout, 1, 1),
        ] {
            let found = lines(&failures, error, exported).len();
            assert_eq!(found, logged, "{error} after {exported}");
        }
    }
}
