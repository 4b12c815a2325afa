//! What a process writes, line by line, as it writes it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::task::JoinHandle;

/// The lines of one of its pipes.
#[derive(Debug)]
pub(super) struct Output {
    lines: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl Output {
    /// Reads a pipe to its end, in the background.
    pub(super) fn of(pipe: Option<impl AsyncRead + Send + Unpin + 'static>) -> Self {
        let lines = Arc::default();
        let kept = Arc::clone(&lines);
        let reader = tokio::spawn(async move {
            let Some(pipe) = pipe else { return };
            let mut reader = BufReader::new(pipe);
            let mut line = Vec::new();
            // What is not UTF-8 is shown as such, and ends nothing.
            while let Ok(1..) = reader.read_until(b'\n', &mut line).await {
                let text = String::from_utf8_lossy(&line);
                lock(&kept).push(text.trim_end_matches('\n').to_owned());
                line.clear();
            }
        });
        Self { lines, reader }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        lock(&self.lines).clone()
    }

    /// Waits for the end of the pipe.
    pub(super) async fn ended(&mut self) {
        let _ = (&mut self.reader).await;
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

fn lock(lines: &Mutex<Vec<String>>) -> MutexGuard<'_, Vec<String>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}
