//! The binary in a separate process.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use baton_test_support::FakeSqs;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// Time limit for the process to exit after it was told to.
const EXIT_TIMEOUT: Duration = Duration::from_secs(20);

/// Returns a command that starts the binary. Its environment contains no AWS configuration of the
/// user or the machine.
pub(crate) fn command() -> Command {
    isolated(env!("CARGO_BIN_EXE_onboarding-api"))
}

fn isolated(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().stdin(Stdio::null()).kill_on_drop(true);
    command
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// A running process.
#[derive(Debug)]
pub(crate) struct ApiProcess {
    pub(crate) address: SocketAddr,
    /// The lines of the log until the process listened.
    #[cfg(feature = "profiling")]
    pub(crate) start_log: Vec<Value>,
    child: Child,
    /// The output, which is read while the process runs because it would block on a full pipe.
    log: JoinHandle<Vec<Value>>,
}

impl ApiProcess {
    /// Starts a process with `variables` in addition to the required ones, and waits until it
    /// listens.
    pub(crate) async fn start(sqs: &FakeSqs, variables: &[(&str, &str)]) -> Self {
        Self::start_command(command(), sqs, variables).await
    }

    /// Starts a process that may open `limit` file descriptors.
    pub(crate) async fn start_with_descriptors(sqs: &FakeSqs, limit: u32) -> Self {
        let mut command = isolated("/bin/sh");
        let binary = env!("CARGO_BIN_EXE_onboarding-api");
        command.args(["-c", &format!("ulimit -n {limit}; exec {binary}")]);
        Self::start_command(command, sqs, &[("OTEL_TRACES_EXPORTER", "none")]).await
    }

    async fn start_command(
        mut command: Command,
        sqs: &FakeSqs,
        variables: &[(&str, &str)],
    ) -> Self {
        let queue = format!("http://{}/000000000000/onboarding", sqs.address);
        command
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_ENDPOINT_URL_SQS", format!("http://{}", sqs.address))
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("QUEUE_URL", queue)
            .env("LISTEN_ADDR", "127.0.0.1:0")
            .env("SHUTDOWN_GRACE_PERIOD", "0")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut log = Vec::new();
        let address = loop {
            let line = lines
                .next_line()
                .await
                .unwrap()
                .expect("the process listens");
            let line: Value = serde_json::from_str(&line).unwrap();
            log.push(line.clone());
            if line["message"] == "listening" {
                break line["address"].as_str().unwrap().parse().unwrap();
            }
        };
        #[cfg(feature = "profiling")]
        let start_log = log.clone();
        let rest = async move {
            while let Some(line) = lines.next_line().await.unwrap() {
                log.push(serde_json::from_str(&line).unwrap());
            }
            log
        };
        Self {
            address,
            #[cfg(feature = "profiling")]
            start_log,
            child,
            log: tokio::spawn(rest),
        }
    }

    /// Returns a future that sends SIGTERM.
    pub(crate) fn terminate(&self) -> impl Future<Output = ()> + Send + 'static {
        let pid = self.child.id().unwrap().to_string();
        async move {
            let sent = Command::new("kill").args(["-TERM", &pid]).status().await;
            assert!(sent.unwrap().success());
        }
    }

    /// Waits until the process has exited with code 0. Returns its log.
    pub(crate) async fn into_log(mut self) -> Vec<Value> {
        let exited = async { (self.log.await.unwrap(), self.child.wait().await.unwrap()) };
        let exited = tokio::time::timeout(EXIT_TIMEOUT, exited).await;
        let (log, status) = exited.expect("the process exits in time");
        assert!(status.success());
        log
    }
}
