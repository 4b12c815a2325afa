//! A process of the stack: started with a clean environment, with its output in a log, and stopped
//! together with its children.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::Command;
use tokio::sync::{mpsc, watch};

use super::log::ProcessLog;
use crate::process_group::ProcessGroup;

/// A running process, which a task supervises.
#[derive(Debug)]
pub(super) struct SupervisedProcess {
    log: ProcessLog,
    signals: mpsc::Sender<Signal>,
    exit: watch::Receiver<Option<ProcessExit>>,
}

/// The exit of a process.
#[derive(Clone, Debug)]
pub(super) enum ProcessExit {
    /// The process exited with this status.
    Status(ExitStatus),
    /// The status is unknown, because waiting for the process failed.
    Unknown(String),
}

impl std::fmt::Display for ProcessExit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(formatter, "{status}"),
            Self::Unknown(reason) => write!(formatter, "{reason}"),
        }
    }
}

impl SupervisedProcess {
    /// Starts `binary` with these variables only, so that it does not see the user's AWS
    /// configuration. The process gets its own process group, so that Ctrl-C at the terminal
    /// reaches only `baton`, which stops the parts in order.
    pub(super) fn start(binary: &Path, variables: &BTreeMap<String, String>) -> io::Result<Self> {
        let mut command = Command::new(binary);
        command
            .env_clear()
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut group = ProcessGroup::spawn(&mut command)?;
        let log = ProcessLog::default();
        let stdout = group
            .stdout()
            .map(|pipe| tokio::spawn(log.clone().capture(pipe)));
        let stderr = group
            .stderr()
            .map(|pipe| tokio::spawn(log.clone().capture(pipe)));
        let (signals, requests) = mpsc::channel(1);
        let (ended, exit) = watch::channel(None);
        tokio::spawn(async move {
            let exit = supervise(group, requests).await;
            // The last lines often explain the exit. The time limit is for a grandchild that keeps
            // the pipe open.
            for pipe in [stdout, stderr].into_iter().flatten() {
                let _ = tokio::time::timeout(FINAL_OUTPUT_TIMEOUT, pipe).await;
            }
            let _ = ended.send(Some(exit));
        });
        Ok(Self { log, signals, exit })
    }

    /// Returns the log of the process.
    pub(super) fn log(&self) -> &ProcessLog {
        &self.log
    }

    /// Waits until the process exits.
    pub(super) async fn wait(&self) -> ProcessExit {
        let mut exit = self.exit.clone();
        match exit.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(exit)) => exit.clone(),
            _ => ProcessExit::Unknown("its supervising task ended".to_owned()),
        }
    }

    /// Sends SIGTERM, and SIGKILL if the process has not exited after `grace`. Returns its exit
    /// status.
    pub(super) async fn stop(&self, grace: Duration) -> ProcessExit {
        // An error means that the process has exited already.
        let _ = self.signals.send(Signal::TERM).await;
        if let Ok(exit) = tokio::time::timeout(grace, self.wait()).await {
            return exit;
        }
        let _ = self.signals.send(Signal::KILL).await;
        self.wait().await
    }
}

/// Time for reading the pipes of a process that has exited.
const FINAL_OUTPUT_TIMEOUT: Duration = Duration::from_millis(500);

/// Waits for the process and sends it signals. The task owns the process group, so that no signal
/// can reach another process that reuses the process id.
async fn supervise(mut group: ProcessGroup, mut requests: mpsc::Receiver<Signal>) -> ProcessExit {
    let status = loop {
        tokio::select! {
            status = group.wait() => break status,
            request = requests.recv() => match request {
                Some(signal) => group.signal(signal),
                // The owner is gone, so the process is killed.
                None => {
                    group.signal(Signal::KILL);
                    break group.wait().await;
                }
            },
        }
    };
    status.map_or_else(
        |error| ProcessExit::Unknown(error.to_string()),
        ProcessExit::Status,
    )
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tempfile::TempDir;
    use tokio::task::coop::has_budget_remaining;

    use super::*;

    /// Starts a shell script. Also returns the folder that contains the script, which the shell
    /// reads while it runs.
    fn shell(script: &str) -> (SupervisedProcess, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let given = BTreeMap::from([("GIVEN".to_owned(), "1".to_owned())]);
        (SupervisedProcess::start(&path, &given).unwrap(), folder)
    }

    fn runs(process: i32) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        !status.is_empty() && !status.contains(") Z ")
    }

    /// Returns true if the process ends within five seconds. Polls, because the kernel delivers
    /// signals asynchronously.
    fn ends(process: i32) -> bool {
        (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            !runs(process)
        })
    }

    #[test]
    fn dropping_the_runtime_kills_the_process_and_its_children() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let (process, child, _folder) = runtime.block_on(async {
            let (process, folder) = shell("sleep 600 & echo $!; wait");
            let child = process.log().find(|line| line.parse::<i32>().ok()).await;
            (process, child, folder)
        });
        assert!(runs(child));
        drop(runtime);
        assert!(ends(child), "the grandchild still runs");
        drop(process);
    }

    #[tokio::test]
    async fn a_process_without_an_owner_is_killed_without_a_busy_loop() {
        let mut command = Command::new("sleep");
        let group = ProcessGroup::spawn(command.arg("600")).unwrap();
        let (owner, requests) = mpsc::channel(1);
        drop(owner);
        let mut supervision = pin!(supervise(group, requests));
        let exit = std::future::poll_fn(|context| {
            let poll = supervision.as_mut().poll(context);
            assert!(
                has_budget_remaining(),
                "the supervisor polls in a busy loop"
            );
            poll
        });
        assert_eq!(exit.await.to_string(), "signal: 9 (SIGKILL)");
    }

    #[tokio::test]
    async fn a_process_sees_only_the_variables_that_it_is_given() {
        let (process, _folder) = shell("echo given=$GIVEN home=$HOME; echo problem >&2; exit 3");
        assert_eq!(process.wait().await.to_string(), "exit status: 3");
        let mut lines = process.log().lines();
        lines.sort();
        assert_eq!(
            lines.iter().map(AsRef::as_ref).collect::<Vec<&str>>(),
            ["given=1 home=", "problem"]
        );
    }

    #[tokio::test]
    async fn stopping_sends_sigterm_first() {
        let (process, _folder) =
            shell("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
        process
            .log()
            .find(|line| (line == "ready").then_some(()))
            .await;
        assert_eq!(
            process.stop(Duration::from_secs(10)).await.to_string(),
            "exit status: 0"
        );
        assert_eq!(process.log().lines().last().map(AsRef::as_ref), Some("bye"));
    }

    #[tokio::test]
    async fn a_process_that_ignores_sigterm_is_killed_with_its_children() {
        let (process, _folder) = shell("trap '' TERM; sleep 600 & echo $!; wait; wait");
        let child = process.log().find(|line| line.parse::<i32>().ok()).await;
        let exit = process.stop(Duration::from_millis(50)).await;
        assert_eq!(exit.to_string(), "signal: 9 (SIGKILL)");
        assert!(ends(child), "the grandchild still runs");
    }
}
