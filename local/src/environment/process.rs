//! The process of one environment: started with a clean environment and a process group of its own, stopped, continued, killed.

mod output;

use std::{
    io,
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    process::{ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tracing::warn;

pub(super) use self::output::Output;
use super::{Freeze, Function, variables};

/// A running process and its process group.
///
/// If the local stack itself is killed with SIGKILL, its environments still end, as a rule: a running one loses its Runtime API, and the
/// kernel sends SIGHUP and SIGCONT to the stopped ones, because their process groups are then orphaned. (Not so in a container whose first
/// process is of the same session.)
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    group: Option<Pid>,
    freeze: Freeze,
}

impl Process {
    /// Starts the function's binary, in the folder it lies in.
    pub(super) fn spawn(
        function: &Function,
        runtime_api: SocketAddr,
    ) -> io::Result<(Self, Output)> {
        let mut command = Command::new(&function.binary);
        command
            .env_clear()
            .envs(variables::variables(function, runtime_api))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: signals reach what the function started too, and Ctrl-C in our terminal reaches none of them.
            .process_group(0)
            .kill_on_drop(true);
        if let Some(folder) = function
            .binary
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            command.current_dir(folder);
        }
        let mut child = command.spawn()?;
        let output = Output::of(&mut child);
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Ok((
            Self {
                child,
                group,
                freeze: function.freeze,
            },
            output,
        ))
    }

    /// The process id, until the process has ended.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Stops every process of the group, unless the function is never frozen.
    pub(super) fn freeze(&self) {
        if self.freeze == Freeze::BetweenInvocations {
            self.signal(Signal::STOP);
        }
    }

    /// Lets the group run again.
    pub(super) fn thaw(&self) {
        if self.freeze == Freeze::BetweenInvocations {
            self.signal(Signal::CONT);
        }
    }

    /// Waits for the process to end by itself, and says how it ended as Lambda does. Can be cancelled and called again.
    pub(super) async fn exited(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => exit_reason(status),
            Err(error) => format!("Runtime exited, and its status cannot be read: {error}"),
        }
    }

    /// Kills the group without warning, frozen or not, and returns when the process has ended.
    pub(super) async fn kill(mut self) {
        self.signal(Signal::KILL);
        if let Err(error) = self.child.wait().await {
            warn!(%error, "cannot wait for a killed environment");
        }
    }

    /// Signals the whole group. The process may be gone already; its group's number is not given away while one of its members lives.
    fn signal(&self, signal: Signal) {
        let Some(group) = self.group else { return };
        match kill_process_group(group, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => {
                warn!(%error, group = group.as_raw_nonzero().get(), "cannot signal an environment")
            }
        }
    }
}

fn exit_reason(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "Runtime exited without providing a reason".to_owned(),
        (Some(code), _) => format!("Runtime exited with error: exit status {code}"),
        (None, Some(signal)) => format!("Runtime exited with error: signal {signal}"),
        (None, None) => "Runtime exited".to_owned(),
    }
}
