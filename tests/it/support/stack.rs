//! A running `baton up`.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use baton_test_support::OutputLines;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::binaries::Binaries;
use super::processes::{self, Process};
use super::producer::Client;
use super::queue::Queue;
use super::spans::Spans;

/// Time limit for `baton up` to become ready.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Time limit for `baton up` to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The line that `baton up --json` prints once everything is ready.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Endpoints {
    pub(crate) sqs: String,
    pub(crate) queue_url: String,
    pub(crate) dead_letter_queue_url: String,
    pub(crate) producer: String,
    pub(crate) otlp_http: String,
    #[expect(
        dead_code,
        reason = "part of the contract, which this type checks; spans are read over HTTP"
    )]
    pub(crate) otlp_grpc: String,
    #[expect(
        dead_code,
        reason = "part of the contract, which this type checks; there is no console yet"
    )]
    pub(crate) console: Option<String>,
    pub(crate) metrics: String,
    pub(crate) variables: HashMap<String, String>,
}

#[derive(Debug)]
pub(crate) struct Stack {
    baton: Child,
    log: OutputLines,
    pub(crate) endpoints: Endpoints,
}

impl Stack {
    /// Starts a stack with the onboarding function and these options of `baton up`.
    pub(crate) async fn up(options: &[&str]) -> Self {
        Self::up_with_function(&Binaries::get().function, options).await
    }

    /// Starts a stack with another function.
    pub(crate) async fn up_with_function(function: &Path, options: &[&str]) -> Self {
        let binaries = Binaries::get();
        let mut command = Command::new(&binaries.baton);
        command
            .args(["up", "--json", "--function"])
            .arg(function)
            .arg("--producer")
            .arg(&binaries.producer)
            .args(options);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut baton = command.spawn().expect("baton can be started");
        let log = OutputLines::read(baton.stderr.take().unwrap());
        let mut ready = String::new();
        let mut stdout = BufReader::new(baton.stdout.take().unwrap());
        let read = tokio::time::timeout(START_TIMEOUT, stdout.read_line(&mut ready)).await;
        let endpoints = serde_json::from_str(&ready).unwrap_or_else(|error| {
            terminate_and_wait(&mut baton);
            panic!(
                "baton up did not print its line ({error}, {read:?}): {ready:?}\n{}",
                log.text()
            );
        });
        Self {
            baton,
            log,
            endpoints,
        }
    }

    /// Returns the log of `baton` itself.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    pub(crate) fn producer(&self) -> Client {
        Client::new(&self.endpoints.producer)
    }

    pub(crate) fn queue(&self) -> Queue {
        Queue::new(&self.endpoints.sqs, &self.endpoints.queue_url)
    }

    pub(crate) fn dead_letter_queue(&self) -> Queue {
        Queue::new(&self.endpoints.sqs, &self.endpoints.dead_letter_queue_url)
    }

    pub(crate) fn spans(&self) -> Spans {
        Spans::new(&self.endpoints.otlp_http)
    }

    /// Returns every living process that `baton` started.
    pub(crate) fn processes(&self) -> Vec<Process> {
        self.baton
            .id()
            .map(processes::descendants)
            .unwrap_or_default()
    }

    /// Stops the stack with SIGTERM, and checks that no process is left behind.
    pub(crate) async fn stop(mut self) {
        let started = self.processes();
        terminate(&self.baton);
        let ended = tokio::time::timeout(STOP_TIMEOUT, self.baton.wait()).await;
        let status = ended
            .unwrap_or_else(|_| panic!("baton did not stop: {}", self.log.text()))
            .unwrap();
        assert!(status.success(), "{status}: {}", self.log.text());
        assert_eq!(
            processes::alive(&started),
            [],
            "baton left processes behind: {}",
            self.log.text()
        );
    }
}

/// Stops the stack of a failed test too. Killing `baton` would leave the processes that it started.
impl Drop for Stack {
    fn drop(&mut self) {
        terminate_and_wait(&mut self.baton);
    }
}

fn terminate(baton: &Child) {
    if let Some(pid) = baton
        .id()
        .and_then(|id| Pid::from_raw(id.try_into().unwrap()))
    {
        kill_process(pid, Signal::TERM).unwrap();
    }
}

fn terminate_and_wait(baton: &mut Child) {
    terminate(baton);
    let deadline = Instant::now() + STOP_TIMEOUT;
    while matches!(baton.try_wait(), Ok(None)) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
}
