//! A child process with its own process group, which does not outlive its owner.

use std::io;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// A child process and all processes that it has started. The remaining ones are killed when this
/// is dropped.
#[derive(Debug)]
pub(crate) struct ProcessGroup {
    child: Child,
    leader: Option<Pid>,
}

impl ProcessGroup {
    /// Starts the command in its own process group: signals then reach its children too, and Ctrl-C
    /// at the terminal reaches none of them.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let leader = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Ok(Self { child, leader })
    }

    /// Returns the child's process id until the child has exited.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Takes the child's standard output, if it is piped and was not taken before.
    pub(crate) fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Takes the child's standard error, if it is piped and was not taken before.
    pub(crate) fn stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Waits for the child to exit, then kills the processes that it left behind. Cancel safe.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await;
        self.signal(Signal::KILL);
        self.leader = None;
        status
    }

    /// Sends a signal to every process of the group. The group may be empty, but its number is not
    /// reused while one of its processes lives.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // An error means that no process is left.
            let _ = kill_process_group(leader, signal);
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
