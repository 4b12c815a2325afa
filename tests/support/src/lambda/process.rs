//! The process of a function.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::ProcessExit;
use crate::output::OutputLines;

/// Number of stderr lines in an error.
const LAST_LINES: usize = 20;
/// Time limit for reading the pipes of a dead process. A child process that is still running
/// keeps them open.
const PIPE_LIMIT: Duration = Duration::from_secs(2);

/// A running process, which is killed when this is dropped.
#[derive(Debug)]
pub(super) struct FunctionProcess {
    id: u32,
    exit: watch::Receiver<Option<ExitStatus>>,
    is_frozen: AtomicBool,
    stdout: OutputLines,
    stderr: OutputLines,
    /// Owns the process, and kills it when it is aborted.
    waiter: JoinHandle<()>,
}

impl FunctionProcess {
    pub(super) fn spawn(mut command: Command) -> io::Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let no_pipe = || io::Error::other("the process has no pipe");
        let stdout = child.stdout.take().ok_or_else(no_pipe)?;
        let stderr = child.stderr.take().ok_or_else(no_pipe)?;
        let (sender, exit) = watch::channel(None);
        Ok(Self {
            id: child.id().unwrap_or_default(),
            exit,
            is_frozen: AtomicBool::new(false),
            stdout: OutputLines::read(stdout),
            stderr: OutputLines::read(stderr),
            waiter: tokio::spawn(wait(child, sender)),
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    pub(super) fn stdout(&self) -> Vec<String> {
        self.stdout.lines()
    }

    pub(super) fn stderr(&self) -> Vec<String> {
        self.stderr.lines()
    }

    pub(super) fn stderr_tail(&self) -> String {
        let lines = self.stderr();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    /// Waits for the end of the process.
    pub(super) async fn wait_for_exit(&self) -> ExitStatus {
        let mut exit = self.exit.clone();
        match exit.wait_for(Option::is_some).await {
            Ok(status) => status.unwrap_or_default(),
            // The waiter drops its sender without a status only if it is aborted, which kills the
            // process.
            Err(_) => ExitStatus::from_raw(Signal::KILL.as_raw()),
        }
    }

    pub(super) fn freeze(&self) {
        self.signal(Signal::STOP);
        self.is_frozen.store(true, Ordering::Relaxed);
    }

    pub(super) fn thaw(&self) {
        if self.is_frozen.swap(false, Ordering::Relaxed) {
            self.signal(Signal::CONT);
        }
    }

    /// Sends SIGTERM, and SIGKILL after `limit`.
    pub(super) async fn terminate(mut self, limit: Duration) -> ProcessExit {
        let started = Instant::now();
        self.thaw();
        self.signal(Signal::TERM);
        let in_time = timeout(limit, self.wait_for_exit()).await;
        if in_time.is_err() {
            self.signal(Signal::KILL);
        }
        let status = self.wait_for_exit().await;
        let duration = started.elapsed();
        let _ = timeout(PIPE_LIMIT, async {
            self.stdout.wait_until_closed().await;
            self.stderr.wait_until_closed().await;
        })
        .await;
        ProcessExit {
            status,
            duration,
            killed: in_time.is_err(),
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }

    /// Sends a signal unless the process has exited, because its id may belong to another process
    /// by then.
    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id).ok().and_then(Pid::from_raw);
        if let Some(id) = id.filter(|_| self.exit.borrow().is_none()) {
            let _ = kill_process(id, signal);
        }
    }
}

impl Drop for FunctionProcess {
    fn drop(&mut self) {
        self.waiter.abort();
    }
}

async fn wait(mut child: Child, exit: watch::Sender<Option<ExitStatus>>) {
    if let Ok(status) = child.wait().await {
        exit.send_replace(Some(status));
    }
}
