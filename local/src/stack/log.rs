//! The latest lines that a process wrote, which others can wait for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::{broadcast, watch};

/// How many lines are kept: the story of a short life, and no growth over a long one.
const KEPT_LINES: usize = 2_000;
/// How many lines an error quotes: what fits on a screen beside the error itself.
const QUOTED_LINES: usize = 15;

/// The latest lines of one process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    lines: Mutex<VecDeque<Arc<str>>>,
    written: watch::Sender<u64>,
    followers: broadcast::Sender<Arc<str>>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            lines: Mutex::default(),
            written: watch::Sender::new(0),
            followers: broadcast::Sender::new(KEPT_LINES),
        }
    }
}

impl Log {
    /// The lines kept, oldest first.
    #[must_use]
    pub fn lines(&self) -> Vec<Arc<str>> {
        self.kept().iter().cloned().collect()
    }

    /// Follows the log from now on. A follower that is too slow is told how many lines it missed.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<str>> {
        self.shared.followers.subscribe()
    }

    /// The last lines, indented for an error message; says so when there are none.
    pub(super) fn tail(&self) -> String {
        let kept = self.kept();
        if kept.is_empty() {
            return "  (it wrote nothing)".to_owned();
        }
        let skipped = kept.len().saturating_sub(QUOTED_LINES);
        kept.iter()
            .skip(skipped)
            .map(|line| format!("  {line}"))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Waits for a line in which `find` finds something.
    pub(super) async fn find<T>(&self, find: impl Fn(&str) -> Option<T>) -> T {
        let mut written = self.shared.written.subscribe();
        loop {
            if let Some(found) = self.kept().iter().find_map(|line| find(line)) {
                return found;
            }
            // The sender lives in `self`, so the channel cannot be closed while this waits.
            let _ = written.changed().await;
        }
    }

    /// Reads a pipe until its last writer has gone.
    pub(super) async fn capture(self, pipe: impl AsyncRead + Unpin) {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line).await, Ok(1..)) {
            self.push(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
    }

    fn push(&self, line: &str) {
        let line = Arc::<str>::from(line);
        let mut kept = self.kept();
        if kept.len() == KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&line));
        drop(kept);
        // An error only says that nobody follows.
        let _ = self.shared.followers.send(line);
        self.shared.written.send_modify(|written| *written += 1);
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Arc<str>>> {
        // Nothing that runs under the lock can leave the lines half-changed.
        self.shared
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_is_found_when_it_arrives() {
        let log = Log::default();
        let found = tokio::spawn({
            let log = log.clone();
            async move {
                log.find(|line| line.strip_prefix("address ").map(str::to_owned))
                    .await
            }
        });
        log.clone()
            .capture("starting\naddress here\nlast without a break".as_bytes())
            .await;
        assert_eq!(found.await.unwrap(), "here");
        assert_eq!(log.lines().len(), 3);
    }

    #[tokio::test]
    async fn the_tail_is_short_and_says_when_there_is_none() {
        let log = Log::default();
        assert_eq!(log.tail(), "  (it wrote nothing)");
        let text = (0..KEPT_LINES + 5)
            .map(|number| format!("{number}\n"))
            .collect::<String>();
        log.clone().capture(text.as_bytes()).await;
        assert_eq!(log.lines().len(), KEPT_LINES);
        assert_eq!(log.tail().lines().count(), QUOTED_LINES);
        assert!(log.tail().ends_with(&format!("{}", KEPT_LINES + 4)));
    }
}
