//! The latest lines, which can also be followed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

/// How much memory the lines that are kept may take: enough for a demonstration, and little beside
/// the processes themselves.
const MAX_KEPT_BYTES: usize = 16 * 1024 * 1024;
/// How far a follower may fall behind before it misses lines (and is told how many).
const FOLLOWER_LINES: usize = 4096;

/// Something with the text of a line in it.
pub(crate) trait LogText: Clone {
    fn text(&self) -> &str;
}

impl LogText for Arc<str> {
    fn text(&self) -> &str {
        self
    }
}

/// The latest lines. Clones share them.
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
    /// The latest lines, oldest first; bounded by their total size, so early ones may be gone.
    pub(crate) fn recent(&self) -> Vec<L> {
        self.lock().lines.iter().cloned().collect()
    }

    /// Follows from now on. A follower that is too slow gets `Lagged` with the number of lines it
    /// missed.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<L> {
        self.shared.followers.subscribe()
    }

    /// Waits for a line in which `find` finds something; one that is kept already will do.
    pub(crate) async fn find<T>(&self, find: impl Fn(&L) -> Option<T>) -> T {
        // In line before looking, or a line that comes in between would go unnoticed.
        let mut lines = self.subscribe();
        loop {
            if let Some(found) = self.lock().lines.iter().find_map(&find) {
                return found;
            }
            // An error only says that lines were missed, and those are kept: the sender lives as
            // long as `self`.
            let _ = lines.recv().await;
        }
    }

    pub(crate) fn push(&self, line: L) {
        {
            let mut kept = self.lock();
            kept.bytes += weight(&line);
            kept.lines.push_back(line.clone());
            while kept.bytes > MAX_KEPT_BYTES {
                let Some(oldest) = kept.lines.pop_front() else {
                    break;
                };
                kept.bytes -= weight(&oldest);
            }
        }
        // An error only says that nobody follows.
        let _ = self.shared.followers.send(line);
    }

    fn lock(&self) -> MutexGuard<'_, KeptLines<L>> {
        // Nothing that runs under the lock can leave the lines half-changed.
        self.shared
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a line takes: its text, and its place, or empty lines would weigh nothing.
fn weight<L: LogText>(line: &L) -> usize {
    line.text().len() + size_of::<L>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_give_way() {
        let history = LineHistory::default();
        let half = "x".repeat(MAX_KEPT_BYTES / 2 - size_of::<Arc<str>>());
        for text in ["first", &half, &half] {
            history.push(Arc::from(text));
        }
        assert_eq!(history.recent().len(), 2);
    }

    #[test]
    fn even_empty_lines_give_way() {
        let history = LineHistory::default();
        let empty = Arc::<str>::from("");
        let room = MAX_KEPT_BYTES / size_of::<Arc<str>>();
        for _ in 0..room + 10 {
            history.push(Arc::clone(&empty));
        }
        assert_eq!(history.recent().len(), room);
    }

    #[tokio::test]
    async fn followers_get_what_comes_after_them() {
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
