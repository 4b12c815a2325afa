//! The function's process.

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

use super::Ended;
use super::output::Output;

/// Lines of stderr in an error.
const LAST_LINES: usize = 20;
/// How long the pipes of a dead process are read at most: they outlive it where a child of its own
/// has them.
const PIPE_LIMIT: Duration = Duration::from_secs(2);

/// A running process, which is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    id: u32,
    exit: watch::Receiver<Option<ExitStatus>>,
    frozen: AtomicBool,
    stdout: Output,
    stderr: Output,
    /// Has the process, and kills it when it is dropped.
    keeper: JoinHandle<()>,
}

impl Process {
    pub(super) fn spawn(mut command: Command) -> io::Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let (sender, exit) = watch::channel(None);
        Ok(Self {
            id: child.id().unwrap_or_default(),
            exit,
            frozen: AtomicBool::new(false),
            stdout: Output::of(child.stdout.take()),
            stderr: Output::of(child.stderr.take()),
            keeper: tokio::spawn(keep(child, sender)),
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

    pub(super) fn last_words(&self) -> String {
        let lines = self.stderr();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    /// Waits for the end of the process.
    pub(super) async fn exited(&self) -> ExitStatus {
        let mut exit = self.exit.clone();
        match exit.wait_for(Option::is_some).await {
            Ok(status) => status.unwrap_or_default(),
            // The keeper goes without a word only when the process was killed with it.
            Err(_) => ExitStatus::from_raw(Signal::KILL.as_raw()),
        }
    }

    pub(super) fn freeze(&self) {
        self.signal(Signal::STOP);
        self.frozen.store(true, Ordering::Relaxed);
    }

    pub(super) fn thaw(&self) {
        if self.frozen.swap(false, Ordering::Relaxed) {
            self.signal(Signal::CONT);
        }
    }

    pub(super) async fn terminate(mut self, limit: Duration) -> Ended {
        let asked = Instant::now();
        self.thaw();
        self.signal(Signal::TERM);
        let in_time = timeout(limit, self.exited()).await;
        if in_time.is_err() {
            self.signal(Signal::KILL);
        }
        let status = self.exited().await;
        let after = asked.elapsed();
        let _ = timeout(PIPE_LIMIT, async {
            self.stdout.ended().await;
            self.stderr.ended().await;
        })
        .await;
        Ended {
            status,
            after,
            killed: in_time.is_err(),
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }

    /// To a process that has ended nothing is sent: its id may be another's by now.
    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id).ok().and_then(Pid::from_raw);
        if let Some(id) = id.filter(|_| self.exit.borrow().is_none()) {
            let _ = kill_process(id, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

async fn keep(mut child: Child, exit: watch::Sender<Option<ExitStatus>>) {
    if let Ok(status) = child.wait().await {
        exit.send_replace(Some(status));
    }
}
