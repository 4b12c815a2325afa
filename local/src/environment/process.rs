//! The process of one environment: started with a clean environment and a process group of its own,
//! stopped, continued, killed.

use std::{
    io,
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    process::{ExitStatus, Stdio},
};

use rustix::process::Signal;
use tokio::{
    io::AsyncRead,
    process::{ChildStderr, ChildStdout, Command},
};
use tracing::warn;

use super::{Freeze, Function, LogSource, variables};
use crate::{lines::LineReader, process_group::ProcessGroup};

/// A running process and whatever it has started; they end with it, and with this.
///
/// If the local stack itself is killed with SIGKILL, its environments still end, as a rule: a
/// running one loses its Runtime API, and the kernel sends SIGHUP and SIGCONT to the stopped ones,
/// because their process groups are then orphaned. (Not so in a container whose first process is of
/// the same session.)
#[derive(Debug)]
pub(super) struct FunctionProcess {
    group: ProcessGroup,
    freeze: Freeze,
}

impl FunctionProcess {
    /// Starts the function's binary, in the folder it lies in.
    pub(super) fn spawn(
        function: &Function,
        runtime_api: SocketAddr,
    ) -> io::Result<(Self, ProcessOutput)> {
        let mut command = Command::new(&function.binary);
        command
            .env_clear()
            .envs(variables::build(function, runtime_api))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(folder) = function
            .binary
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            command.current_dir(folder);
        }
        let mut group = ProcessGroup::spawn(&mut command)?;
        let output = ProcessOutput::capture(&mut group);
        let freeze = function.freeze;
        Ok((Self { group, freeze }, output))
    }

    /// The process id, until the process has ended.
    pub(super) fn id(&self) -> Option<u32> {
        self.group.id()
    }

    /// Stops every process of the group, unless the function is never frozen.
    pub(super) fn freeze(&self) {
        if self.freeze == Freeze::BetweenInvocations {
            self.group.signal(Signal::STOP);
        }
    }

    /// Lets the group run again.
    pub(super) fn thaw(&self) {
        if self.freeze == Freeze::BetweenInvocations {
            self.group.signal(Signal::CONT);
        }
    }

    /// Waits for the process to end by itself, and says how it ended as Lambda does; what it left
    /// behind is killed. Can be cancelled and called again.
    pub(super) async fn wait(&mut self) -> String {
        match self.group.wait().await {
            Ok(status) => exit_reason(status),
            Err(error) => format!("Runtime exited, and its status cannot be read: {error}"),
        }
    }

    /// Tells the group to end, frozen or not: what is stopped would not hear of it.
    pub(super) fn terminate(&self) {
        self.group.signal(Signal::TERM);
        self.group.signal(Signal::CONT);
    }

    /// Kills the group without warning, frozen or not, and returns when the process has ended.
    pub(super) async fn kill(mut self) {
        self.group.signal(Signal::KILL);
        if let Err(error) = self.group.wait().await {
            warn!(%error, "cannot wait for a killed environment");
        }
    }
}

/// What a process writes.
///
/// It is read by the environment's own task, before that looks at anything else: what was written
/// before a call to the Runtime API is in the log before the call takes effect, so each line finds
/// its invocation.
#[derive(Debug)]
pub(super) struct ProcessOutput {
    stdout: Option<LineReader<ChildStdout>>,
    stderr: Option<LineReader<ChildStderr>>,
}

impl ProcessOutput {
    fn capture(group: &mut ProcessGroup) -> Self {
        Self {
            stdout: group.stdout().map(LineReader::new),
            stderr: group.stderr().map(LineReader::new),
        }
    }

    /// The next line; `None` when the last process that holds a pipe has ended. Can be cancelled
    /// and called again.
    pub(super) async fn next_line(&mut self) -> Option<(LogSource, String)> {
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

fn exit_reason(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "Runtime exited without providing a reason".to_owned(),
        (Some(code), _) => format!("Runtime exited with error: exit status {code}"),
        (None, Some(signal)) => format!("Runtime exited with error: signal {signal}"),
        (None, None) => "Runtime exited".to_owned(),
    }
}
