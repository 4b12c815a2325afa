//! Log of the environments, line by line as in CloudWatch. The latest lines are kept, and receivers
//! can follow new ones.

use std::sync::Arc;

use tokio::sync::broadcast;

use super::EnvironmentId;
use crate::lines::{LineHistory, LogText};

/// A line that an environment wrote, or that Lambda wrote about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogLine {
    /// Number of the environment.
    pub environment: EnvironmentId,
    /// Request id of the invocation that the environment had received last; `None` during the
    /// initialisation.
    pub request_id: Option<Arc<str>>,
    /// Origin of the line.
    pub source: LogSource,
    /// The line without its line break. Bytes that are not UTF-8 are replaced.
    pub text: Arc<str>,
}

/// Origin of a log line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogSource {
    /// The function's standard output.
    Stdout,
    /// The function's standard error.
    Stderr,
    /// Lambda itself: START, END, REPORT and the reason for an environment's end.
    Platform,
}

/// Log of all environments of a function. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    history: LineHistory<LogLine>,
}

impl LogText for LogLine {
    fn text(&self) -> &str {
        &self.text
    }
}

impl Logs {
    /// Returns the latest lines, oldest first. Their total size is limited, so early lines may be
    /// missing.
    pub fn recent(&self) -> Vec<LogLine> {
        self.history.recent()
    }

    /// Subscribes to new lines. A receiver that is too slow gets `Lagged` with the number of lines
    /// that it missed.
    pub fn subscribe(&self) -> broadcast::Receiver<LogLine> {
        self.history.subscribe()
    }
}

/// Log of one environment, which adds the current request id to each line.
#[derive(Debug)]
pub(super) struct EnvironmentLog {
    logs: Logs,
    environment: EnvironmentId,
    request_id: Option<Arc<str>>,
}

impl EnvironmentLog {
    pub(super) fn new(logs: Logs, environment: EnvironmentId) -> Self {
        Self {
            logs,
            environment,
            request_id: None,
        }
    }

    /// Sets the request id of the lines that follow.
    pub(super) fn set_request_id(&mut self, request_id: &str) {
        self.request_id = Some(Arc::from(request_id));
    }

    pub(super) fn write(&self, source: LogSource, text: &str) {
        self.logs.history.push(LogLine {
            environment: self.environment,
            request_id: self.request_id.clone(),
            source,
            text: Arc::from(text),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_request_id_of_their_invocation() {
        let logs = Logs::default();
        let mut environment = EnvironmentLog::new(logs.clone(), EnvironmentId(1));
        environment.write(LogSource::Stderr, "initialising");
        environment.set_request_id("a-request");
        environment.write(LogSource::Stderr, "running");

        let ids: Vec<_> = logs
            .recent()
            .into_iter()
            .map(|line| line.request_id)
            .collect();
        assert_eq!(ids, [None, Some(Arc::from("a-request"))]);
    }
}
