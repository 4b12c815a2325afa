//! A child with a process group of its own, which never outlives its owner.

use std::io;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// A child and everything it started. What is left of them is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct ProcessGroup {
    child: Child,
    leader: Option<Pid>,
}

impl ProcessGroup {
    /// Starts the command in a group of its own, so that signals reach what it starts too, and
    /// Ctrl-C at our terminal reaches none of it.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let leader = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Ok(Self { child, leader })
    }

    /// The child's process id, until it has ended.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The child's standard output, if it is piped and was not taken yet.
    pub(crate) fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// The child's standard error, if it is piped and was not taken yet.
    pub(crate) fn stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Waits for the child, then kills what it left behind. Can be cancelled and called again.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await;
        self.signal(Signal::KILL);
        self.leader = None;
        status
    }

    /// Signals every process of the group. None may be left, but the group's number is not given
    /// away while one of them lives.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // An error means that nobody is left, which is what the signals here are after.
            let _ = kill_process_group(leader, signal);
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
