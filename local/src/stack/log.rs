//! The latest lines of a process's output, which can also be followed.

use std::sync::Arc;

use tokio::io::AsyncRead;
use tokio::sync::broadcast;

use crate::lines::{self, LineHistory, LineReader};

/// Log of one process: its latest lines. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct ProcessLog {
    history: LineHistory<Arc<str>>,
}

impl ProcessLog {
    /// Returns the latest lines, oldest first.
    #[must_use]
    pub fn lines(&self) -> Vec<Arc<str>> {
        self.history.recent()
    }

    /// Subscribes to new lines. A receiver that is too slow gets `Lagged` with the number of lines
    /// that it missed.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<str>> {
        self.history.subscribe()
    }

    /// Returns the last lines, indented for an error message, or a note if there are none.
    pub(super) fn tail(&self) -> String {
        lines::tail(self.lines().iter().map(AsRef::as_ref))
    }

    /// Waits for a line for which `find` returns a value.
    pub(super) async fn find<T>(&self, find: impl Fn(&str) -> Option<T>) -> T {
        self.history.find(|line| find(line)).await
    }

    /// Reads a pipe until every process that holds it has exited.
    pub(super) async fn capture(self, pipe: impl AsyncRead + Unpin) {
        let mut lines = LineReader::new(pipe);
        while let Some(line) = lines.next_line().await {
            self.history.push(Arc::from(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_without_an_end_is_split() {
        let log = ProcessLog::default();
        let endless = vec![b'x'; 1024 * 1024];
        log.clone().capture(endless.as_slice()).await;
        let lines = log.lines();
        assert!(lines.len() > 1, "{} line", lines.len());
        assert_eq!(
            lines.iter().map(|line| line.len()).sum::<usize>(),
            endless.len()
        );
    }
}
