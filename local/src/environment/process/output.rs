//! The two pipes of a process, line by line.

use tokio::{
    io::AsyncRead,
    process::{ChildStderr, ChildStdout},
};

use crate::{environment::LogSource, lines::LineReader, process_group::ProcessGroup};

/// What a process writes.
///
/// It is read by the environment's own task, before that looks at anything else: what was written
/// before a call to the Runtime API is in the log before the call takes effect, so each line finds
/// its invocation.
#[derive(Debug)]
pub(in crate::environment) struct ProcessOutput {
    stdout: Option<LineReader<ChildStdout>>,
    stderr: Option<LineReader<ChildStderr>>,
}

impl ProcessOutput {
    pub(super) fn capture(group: &mut ProcessGroup) -> Self {
        Self {
            stdout: group.stdout().map(LineReader::new),
            stderr: group.stderr().map(LineReader::new),
        }
    }

    /// The next line; `None` when the last process that holds a pipe has ended. Can be cancelled
    /// and called again.
    pub(in crate::environment) async fn next_line(&mut self) -> Option<(LogSource, String)> {
        tokio::select! {
            biased;
            Some(line) = next_line(&mut self.stdout) => Some((LogSource::Stdout, line)),
            Some(line) = next_line(&mut self.stderr) => Some((LogSource::Stderr, line)),
            else => None,
        }
    }
}

async fn next_line(lines: &mut Option<LineReader<impl AsyncRead + Unpin>>) -> Option<String> {
    lines.as_mut()?.next_line().await
}
