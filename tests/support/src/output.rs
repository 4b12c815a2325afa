//! The output of a process, line by line and while it runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::task::JoinHandle;

/// The lines that a process has written to one of its pipes.
#[derive(Debug)]
pub struct OutputLines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl OutputLines {
    /// Starts to read a pipe to its end in the background. Bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn read(pipe: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let lines = Arc::default();
        let kept = Arc::clone(&lines);
        let reader = tokio::spawn(async move {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while let Ok(1..) = pipe.read_until(b'\n', &mut line).await {
                let text = String::from_utf8_lossy(&line);
                lock(&kept).push(text.trim_end_matches('\n').to_owned());
                line.clear();
            }
        });
        Self { lines, reader }
    }

    /// Returns the lines so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        lock(&self.lines).clone()
    }

    /// Returns the lines so far as one string.
    #[must_use]
    pub fn text(&self) -> String {
        lock(&self.lines).join("\n")
    }

    /// Waits for the end of the pipe.
    pub(crate) async fn wait_until_closed(&mut self) {
        let _ = (&mut self.reader).await;
    }
}

impl Drop for OutputLines {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

fn lock(lines: &Mutex<Vec<String>>) -> MutexGuard<'_, Vec<String>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}
