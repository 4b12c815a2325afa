//! The latest lines of a log, which can also be followed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

/// Memory for the lines that are kept: enough for a demonstration, and little compared with the
/// processes.
const MAX_KEPT_BYTES: usize = 16 * 1024 * 1024;
/// Number of lines that a follower can lag behind before it misses some and is told how many.
const FOLLOWER_LINES: usize = 4096;

/// A log line of any type.
pub(crate) trait LogText: Clone {
    fn text(&self) -> &str;
}

impl LogText for Arc<str> {
    fn text(&self) -> &str {
        self
    }
}

/// The latest lines of a log. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct LineHistory<L> {
    shared: Arc<SharedHistory<L>>,
}

#[derive(Debug)]
struct SharedHistory<L> {
    kept: Mutex<KeptLines<L>>,
    followers: broadcast::Sender<L>,
}

#[derive(Debug)]
struct KeptLines<L> {
    lines: VecDeque<L>,
    bytes: usize,
}

impl<L: Clone> Default for LineHistory<L> {
    fn default() -> Self {
        let kept = KeptLines {
            lines: VecDeque::new(),
            bytes: 0,
        };
        let shared = SharedHistory {
            kept: Mutex::new(kept),
            followers: broadcast::Sender::new(FOLLOWER_LINES),
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl<L: LogText> LineHistory<L> {
    /// Returns the latest lines, oldest first. Their total size is limited, so early lines may be
    /// missing.
    pub(crate) fn recent(&self) -> Vec<L> {
        self.lock().lines.iter().cloned().collect()
    }

    /// Subscribes to new lines. A receiver that is too slow gets `Lagged` with the number of lines
    /// that it missed.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<L> {
        self.shared.followers.subscribe()
    }

    /// Waits for a line for which `find` returns a value. Considers the lines that are kept, too.
    pub(crate) async fn find<T>(&self, find: impl Fn(&L) -> Option<T>) -> T {
        // Subscribed before the kept lines are searched, so that no line in between is missed.
        let mut lines = self.subscribe();
        loop {
            if let Some(found) = self.lock().lines.iter().find_map(&find) {
                return found;
            }
            // An error only means that lines were missed, and those are kept. The channel cannot
            // close, because `self` holds the sender.
            let _ = lines.recv().await;
        }
    }

    pub(crate) fn push(&self, line: L) {
        {
            let mut kept = self.lock();
            kept.bytes += memory_size(&line);
            kept.lines.push_back(line.clone());
            while kept.bytes > MAX_KEPT_BYTES {
                let Some(oldest) = kept.lines.pop_front() else {
                    break;
                };
                kept.bytes -= memory_size(&oldest);
            }
        }
        // An error only means that there is no follower.
        let _ = self.shared.followers.send(line);
    }

    fn lock(&self) -> MutexGuard<'_, KeptLines<L>> {
        // No code under this lock can leave the lines in an inconsistent state.
        self.shared
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the memory of a line. The size of the element is included, because empty lines need
/// memory too.
fn memory_size<L: LogText>(line: &L) -> usize {
    line.text().len() + size_of::<L>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_are_dropped() {
        let history = LineHistory::default();
        let half = "x".repeat(MAX_KEPT_BYTES / 2 - size_of::<Arc<str>>());
        for text in ["first", &half, &half] {
            history.push(Arc::from(text));
        }
        assert_eq!(history.recent().len(), 2);
    }

    #[test]
    fn empty_lines_are_dropped_as_well() {
        let history = LineHistory::default();
        let empty = Arc::<str>::from("");
        let room = MAX_KEPT_BYTES / size_of::<Arc<str>>();
        for _ in 0..room + 10 {
            history.push(Arc::clone(&empty));
        }
        assert_eq!(history.recent().len(), room);
    }

    #[tokio::test]
    async fn followers_get_new_lines() {
        let history = LineHistory::default();
        history.push(Arc::from("before"));
        let mut follower = history.subscribe();
        history.push(Arc::from("after"));
        assert_eq!(&*follower.recv().await.unwrap(), "after");
    }

    #[tokio::test]
    async fn a_line_is_found_when_it_arrives() {
        let history = LineHistory::<Arc<str>>::default();
        let found = tokio::spawn({
            let history = history.clone();
            async move {
                history
                    .find(|line| line.strip_prefix("address ").map(str::to_owned))
                    .await
            }
        });
        for line in ["starting", "address here", "more"] {
            history.push(Arc::from(line));
            tokio::task::yield_now().await;
        }
        assert_eq!(found.await.unwrap(), "here");
    }
}
