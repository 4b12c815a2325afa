//! The binary as a process of its own.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use baton_test_support::FakeSqs;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// How long the process may take to end once it has been told to.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

/// A producer that serves.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) address: SocketAddr,
    child: Child,
    /// The process's output, read while it runs because it would block on a full pipe.
    log: JoinHandle<Vec<Value>>,
}

impl Process {
    /// With `variables` in its environment, beside those that it needs.
    pub(crate) async fn start(sqs: &FakeSqs, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onboarding-api"));
        command.env_clear().stdin(Stdio::null()).kill_on_drop(true);
        let queue = format!("http://{}/000000000000/onboarding", sqs.address);
        command
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_ENDPOINT_URL_SQS", format!("http://{}", sqs.address))
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("QUEUE_URL", queue)
            .env("LISTEN_ADDR", "127.0.0.1:0")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut log = Vec::new();
        let address = loop {
            let line = lines.next_line().await.unwrap().expect("it listens");
            let line: Value = serde_json::from_str(&line).unwrap();
            log.push(line.clone());
            if line["message"] == "listening" {
                break line["address"].as_str().unwrap().parse().unwrap();
            }
        };
        let rest = async move {
            while let Some(line) = lines.next_line().await.unwrap() {
                log.push(serde_json::from_str(&line).unwrap());
            }
            log
        };
        Self {
            address,
            child,
            log: tokio::spawn(rest),
        }
    }

    /// What tells it to stop, at any time.
    pub(crate) fn terminator(&self) -> impl Future<Output = ()> + Send + 'static {
        let pid = self.child.id().unwrap().to_string();
        async move {
            let sent = Command::new("kill").args(["-TERM", &pid]).status().await;
            assert!(sent.unwrap().success());
        }
    }

    /// All that it has written, once it has ended well.
    pub(crate) async fn into_log(mut self) -> Vec<Value> {
        let ended = async { (self.log.await.unwrap(), self.child.wait().await.unwrap()) };
        let ended = tokio::time::timeout(ENDS_WITHIN, ended).await;
        let (log, status) = ended.expect("it ends in time");
        assert!(status.success());
        log
    }
}
