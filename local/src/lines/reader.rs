//! Reader of a pipe, line by line.

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// Maximum size of a log event; a longer line becomes several. CloudWatch's limit is the same, so a
/// line that fits here fits there.
const MAX_LINE_BYTES: usize = 256 * 1024;

/// Reader of the lines of a pipe.
#[derive(Debug)]
pub(crate) struct LineReader<R> {
    reader: BufReader<R>,
    /// The beginning of a line that has not ended yet.
    partial: Vec<u8>,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    pub(crate) fn new(pipe: R) -> Self {
        Self {
            reader: BufReader::new(pipe),
            partial: Vec::new(),
        }
    }

    /// Returns the next line without its line break; `None` when every process that holds the pipe
    /// has exited. Cancel safe.
    pub(crate) async fn next_line(&mut self) -> Option<String> {
        loop {
            // A read error is treated like the end of the pipe.
            let available = self.reader.fill_buf().await.unwrap_or_default();
            if available.is_empty() {
                return (!self.partial.is_empty()).then(|| self.take_line());
            }
            let window = &available[..available.len().min(MAX_LINE_BYTES - self.partial.len())];
            let end = window.iter().position(|byte| *byte == b'\n');
            let length = end.map_or(window.len(), |position| position + 1);
            self.partial.extend_from_slice(&window[..length]);
            self.reader.consume(length);
            if end.is_some() || self.partial.len() == MAX_LINE_BYTES {
                return Some(self.take_line());
            }
        }
    }

    fn take_line(&mut self) -> String {
        let line = String::from_utf8_lossy(&self.partial)
            .trim_end_matches(['\n', '\r'])
            .to_owned();
        self.partial.clear();
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_longer_than_an_event_becomes_several() {
        let text = format!("{}\n\nshort\r\nlast", "x".repeat(MAX_LINE_BYTES + 3));
        let mut lines = LineReader::new(text.as_bytes());

        let mut lengths = Vec::new();
        while let Some(line) = lines.next_line().await {
            lengths.push(line.len());
        }

        assert_eq!(lengths, [MAX_LINE_BYTES, 3, 0, 5, 4]);
    }
}
