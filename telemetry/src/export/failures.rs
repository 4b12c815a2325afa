//! Tells of failed exports, and not of the same failure with every flush: a function whose
//! collector is down may fail a thousand times a minute, each time with the line that the log has
//! already.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::ExportError;
use crate::logs;
use crate::otlp::Signal;

/// How often a failure that lasts is told of again: often enough to be found by whoever looks at
/// the last minutes of a log.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// The failures of one exporter.
#[derive(Debug)]
pub(crate) struct Failures {
    signal: Signal,
    endpoint: String,
    last: Mutex<Option<Told>>,
}

/// What the log has last told of.
#[derive(Debug)]
struct Told {
    failure: String,
    at: Instant,
    /// Records that had been exported by then: with more of them, there was a success in between.
    exported: u64,
    /// Failures since, of which the log has told nothing.
    untold: u64,
}

impl Failures {
    pub(crate) fn new(signal: Signal, endpoint: String) -> Self {
        Self {
            signal,
            endpoint,
            last: Mutex::default(),
        }
    }

    /// Logs a failure that is new: another one than before, the first after a success, or one that
    /// has lasted for [`AGAIN_AFTER`]. `exported` is the number of records exported so far.
    pub(crate) fn tell(&self, error: &ExportError, exported: u64) {
        if let Some(untold) = self.news(logs::chain(error), exported) {
            warn!(
                endpoint = self.endpoint,
                error = error as &dyn Error,
                untold_failures = (untold > 0).then_some(untold),
                "{} not exported",
                self.signal.records(),
            );
        }
    }

    /// How many failures the log has not told of since its last line, if it is time for another
    /// one.
    fn news(&self, failure: String, exported: u64) -> Option<u64> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut untold = 0;
        if let Some(told) = last.as_mut() {
            let is_same = told.failure == failure && told.exported == exported;
            if is_same && told.at.elapsed() < AGAIN_AFTER {
                told.untold += 1;
                return None;
            }
            untold = told.untold;
        }
        *last = Some(Told {
            failure,
            at: Instant::now(),
            exported,
            untold: 0,
        });
        Some(untold)
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use tokio::time::advance;

    use super::*;
    use crate::export::collector::UplinkError;
    use crate::transport::TransportError;

    /// Tells of the failure, and returns the lines of it.
    fn lines(failures: &Failures, error: &ExportError, exported: u64) -> Vec<serde_json::Value> {
        logs::captured(|| failures.tell(error, exported))
    }

    fn failures() -> Failures {
        Failures::new(Signal::Traces, "http://collector:4318/v1/traces".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_told_of_with_the_endpoint_once_a_minute() {
        let failures = failures();
        let line = lines(&failures, &ExportError::Timeout, 0).remove(0);
        assert_eq!(line["message"], "spans not exported");
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["endpoint"], "http://collector:4318/v1/traces");
        assert_eq!(line["error"], "no answer within the time for it");
        assert!(line.get("untold_failures").is_none());
        for _ in 0..3 {
            assert!(lines(&failures, &ExportError::Timeout, 0).is_empty());
        }
        advance(AGAIN_AFTER).await;
        let line = lines(&failures, &ExportError::Timeout, 0).remove(0);
        assert_eq!(line["untold_failures"], 3);
        assert!(lines(&failures, &ExportError::Timeout, 0).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn another_failure_and_one_after_a_success_are_told_of_at_once() {
        let failures = failures();
        let busy = ExportError::Uplink(UplinkError::Transport(TransportError::Unavailable {
            status: StatusCode::SERVICE_UNAVAILABLE.into(),
            retry_after: None,
        }));
        for (error, exported, told) in [
            (&ExportError::Timeout, 0, 1),
            (&busy, 0, 1),
            (&busy, 0, 0),
            (&busy, 1, 1),
            (&busy, 1, 0),
            (&ExportError::Timeout, 1, 1),
        ] {
            let found = lines(&failures, error, exported).len();
            assert_eq!(found, told, "{error} after {exported}");
        }
    }
}
