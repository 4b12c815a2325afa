//! The process of an environment: started with a clean environment in its own process group, then
//! stopped, continued and killed.

use std::io;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};

use rustix::process::Signal;
use tokio::io::AsyncRead;
use tokio::process::{ChildStderr, ChildStdout, Command};
use tracing::warn;

use super::{Freeze, Function, LogSource, variables};
use crate::lines::LineReader;
use crate::process_group::ProcessGroup;

/// A running process and the processes that it has started. All of them are killed when this is
/// dropped.
///
/// If the local stack itself is killed with SIGKILL, the environments usually end too: a running
/// one loses its Runtime API, and a stopped one gets SIGHUP and SIGCONT from the kernel because its
/// process group is orphaned. The exception is a container whose first process belongs to the same
/// session.
#[derive(Debug)]
pub(super) struct FunctionProcess {
    group: ProcessGroup,
    freeze: Freeze,
}

impl FunctionProcess {
    /// Starts the function's binary in the folder that contains it.
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

    /// Returns the process id until the process has exited.
    pub(super) fn id(&self) -> Option<u32> {
        self.group.id()
    }

    /// Stops every process of the group, unless freezing is disabled.
    pub(super) fn freeze(&self) {
        if self.freeze == Freeze::BetweenInvocations {
            self.group.signal(Signal::STOP);
        }
    }

    /// Continues every process of the group.
    pub(super) fn thaw(&self) {
        if self.freeze == Freeze::BetweenInvocations {
            self.group.signal(Signal::CONT);
        }
    }

    /// Waits for the process to exit, kills the processes that it left behind, and returns the
    /// reason in Lambda's words. Cancel safe.
    pub(super) async fn wait(&mut self) -> String {
        match self.group.wait().await {
            Ok(status) => exit_reason(status),
            Err(error) => format!("Runtime exited; cannot read its exit status: {error}"),
        }
    }

    /// Sends SIGTERM to the group, then SIGCONT: a stopped process would not receive the first
    /// signal.
    pub(super) fn terminate(&self) {
        self.group.signal(Signal::TERM);
        self.group.signal(Signal::CONT);
    }

    /// Kills the group and waits until the process has exited.
    pub(super) async fn kill(mut self) {
        self.group.signal(Signal::KILL);
        if let Err(error) = self.group.wait().await {
            warn!(%error, "cannot wait for the killed process of an environment");
        }
    }
}

/// Standard output and standard error of a process, line by line.
///
/// The environment's task reads them before it looks at anything else. Lines that were written
/// before a Runtime API call are therefore logged before the call takes effect, so each line gets
/// the request id of its invocation.
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

    /// Returns the next line; `None` when every process that holds a pipe has exited. Cancel safe.
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
