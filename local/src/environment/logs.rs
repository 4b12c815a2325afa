//! What the environments wrote, line by line, as CloudWatch would have it: the latest lines are kept, and can be followed.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::broadcast;

use super::EnvironmentId;

/// How much text is kept for those who ask later: enough for a demonstration, and little beside the processes themselves.
const MAX_KEPT_BYTES: usize = 16 * 1024 * 1024;
/// How far a follower may fall behind before it misses lines (and is told how many).
const FOLLOWER_LINES: usize = 4096;

/// One line that an environment wrote, or that Lambda wrote about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogLine {
    /// The environment.
    pub environment: EnvironmentId,
    /// The invocation that the environment had most recently been handed; `None` during the initialisation.
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
#[derive(Clone, Debug)]
pub struct Logs {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    kept: Mutex<Kept>,
    followers: broadcast::Sender<LogLine>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<LogLine>,
    bytes: usize,
}

impl Logs {
    pub(super) fn new() -> Self {
        let (followers, _) = broadcast::channel(FOLLOWER_LINES);
        Self {
            shared: Arc::new(Shared {
                kept: Mutex::default(),
                followers,
            }),
        }
    }

    /// The latest lines, oldest first; bounded by their total size, so early ones may be gone.
    pub fn recent(&self) -> Vec<LogLine> {
        self.shared
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .lines
            .iter()
            .cloned()
            .collect()
    }

    /// Follows the log from now on. A follower that is too slow gets `Lagged` with the number of lines it missed.
    pub fn subscribe(&self) -> broadcast::Receiver<LogLine> {
        self.shared.followers.subscribe()
    }

    pub(super) fn push(&self, line: LogLine) {
        {
            let mut kept = self
                .shared
                .kept
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            kept.bytes += line.text.len();
            kept.lines.push_back(line.clone());
            while kept.bytes > MAX_KEPT_BYTES {
                let Some(oldest) = kept.lines.pop_front() else {
                    break;
                };
                kept.bytes -= oldest.text.len();
            }
        }
        // An error only says that nobody follows.
        let _ = self.shared.followers.send(line);
    }
}

/// The log of one environment, which knows the invocation that its lines belong to.
#[derive(Clone, Debug)]
pub(super) struct EnvironmentLog {
    logs: Logs,
    environment: EnvironmentId,
    request_id: Arc<Mutex<Option<Arc<str>>>>,
}

impl EnvironmentLog {
    pub(super) fn new(logs: Logs, environment: EnvironmentId) -> Self {
        Self {
            logs,
            environment,
            request_id: Arc::default(),
        }
    }

    /// Attributes what follows to an invocation, up to the next one.
    pub(super) fn begin(&self, request_id: &str) {
        *self
            .request_id
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::from(request_id));
    }

    pub(super) fn write(&self, source: LogSource, text: &str) {
        let request_id = self
            .request_id
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        self.logs.push(LogLine {
            environment: self.environment,
            request_id,
            source,
            text: Arc::from(text),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> (Logs, EnvironmentLog) {
        let logs = Logs::new();
        (logs.clone(), EnvironmentLog::new(logs, EnvironmentId(1)))
    }

    #[test]
    fn the_oldest_lines_give_way() {
        let (logs, environment) = log();
        let half = "x".repeat(MAX_KEPT_BYTES / 2);
        for text in ["first", &half, &half] {
            environment.write(LogSource::Stdout, text);
        }

        assert_eq!(logs.recent().len(), 2);
    }

    #[test]
    fn lines_carry_the_invocation_they_belong_to() {
        let (logs, environment) = log();
        environment.write(LogSource::Stderr, "initialising");
        environment.begin("a-request");
        environment.write(LogSource::Stderr, "running");

        let ids: Vec<_> = logs
            .recent()
            .into_iter()
            .map(|line| line.request_id)
            .collect();
        assert_eq!(ids, [None, Some(Arc::from("a-request"))]);
    }

    #[tokio::test]
    async fn followers_get_what_comes_after_them() {
        let (logs, environment) = log();
        environment.write(LogSource::Stdout, "before");
        let mut follower = logs.subscribe();
        environment.write(LogSource::Stdout, "after");

        assert_eq!(&*follower.recv().await.unwrap().text, "after");
    }
}
