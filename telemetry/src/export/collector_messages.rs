//! Warnings from a collector that accepted a request and rejected none of its records.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

/// Minimum time between log lines for two different messages, because a message may contain a
/// number that changes with every request.
const PAUSE: Duration = Duration::from_secs(60);

/// Logs each message once. A collector sends the same one with every response (OTLP specification,
/// "Partial Success").
#[derive(Debug)]
pub(crate) struct CollectorMessages {
    endpoint: String,
    last: Mutex<Option<LoggedMessage>>,
}

#[derive(Debug)]
struct LoggedMessage {
    message: String,
    at: Instant,
}

impl CollectorMessages {
    pub(crate) fn new(endpoint: String) -> Self {
        Self {
            endpoint,
            last: Mutex::default(),
        }
    }

    /// Logs a message unless it is empty or was logged before.
    pub(crate) fn log(&self, message: &str) {
        if !message.is_empty() && self.is_new(message) {
            warn!(
                endpoint = self.endpoint,
                collector_message = message,
                "the collector accepted the request with a warning",
            );
        }
    }

    fn is_new(&self, message: &str) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = last
            .as_ref()
            .is_some_and(|last| last.message == message || last.at.elapsed() < PAUSE);
        if !is_known {
            *last = Some(LoggedMessage {
                message: message.to_owned(),
                at: Instant::now(),
            });
        }
        !is_known
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::logs;

    fn lines(messages: &CollectorMessages, message: &str) -> usize {
        logs::captured(|| messages.log(message)).len()
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_logged_once_and_another_one_a_minute_later() {
        let messages = CollectorMessages::new("http://collector:4318/v1/traces".to_owned());
        assert_eq!(lines(&messages, ""), 0);
        assert_eq!(lines(&messages, "1 attribute cut"), 1);
        assert_eq!(lines(&messages, "2 attributes cut"), 0);
        advance(PAUSE).await;
        assert_eq!(lines(&messages, "1 attribute cut"), 0);
        assert_eq!(lines(&messages, "2 attributes cut"), 1);
    }
}
