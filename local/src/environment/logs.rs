//! What the environments wrote, line by line, as CloudWatch would have it: the latest lines are
//! kept, and can be followed.

use std::sync::Arc;

use tokio::sync::broadcast;

use super::EnvironmentId;
use crate::lines::{LineHistory, LogText};

/// One line that an environment wrote, or that Lambda wrote about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogLine {
    /// The environment.
    pub environment: EnvironmentId,
    /// The invocation that the environment had most recently been handed; `None` during the
    /// initialisation.
    pub request_id: Option<Arc<str>>,
    /// Who wrote it.
    pub source: LogSource,
    /// The line without its line break. Bytes that are not UTF-8 are replaced.
    pub text: Arc<str>,
}

/// Who wrote a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogSource {
    /// The function, on its standard output.
    Stdout,
    /// The function, on its standard error.
    Stderr,
    /// Lambda: START, END, REPORT and why an environment ended.
    Platform,
}

/// The log of all environments of a function. Clones share it.
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
    /// The latest lines, oldest first; bounded by their total size, so early ones may be gone.
    pub fn recent(&self) -> Vec<LogLine> {
        self.history.recent()
    }

    /// Follows the log from now on. A follower that is too slow gets `Lagged` with the number of
    /// lines it missed.
    pub fn subscribe(&self) -> broadcast::Receiver<LogLine> {
        self.history.subscribe()
    }
}

/// The log of one environment, which knows the invocation that its lines belong to.
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

    /// Attributes what follows to an invocation, up to the next one.
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
    fn lines_carry_the_invocation_they_belong_to() {
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
