//! The producer's process: started, awaited until it is ready, and stopped.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use super::client;
use super::error::StackError;
use super::log::ProcessLog;
use super::process::SupervisedProcess;

/// Time limit for the producer to become ready. It needs a fraction of a second unless the machine
/// is busy.
const READY_TIMEOUT: Duration = Duration::from_secs(20);
/// Interval of readiness checks.
const READY_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Time for the producer to finish the requests that it has accepted and to export its spans.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Checks that the binary exists, without starting it.
pub(crate) fn check(binary: &Path) -> Result<(), StackError> {
    // A name without a folder is searched in `PATH` when the process is started.
    if binary.components().count() == 1 {
        return Ok(());
    }
    fs::metadata(binary)
        .map(drop)
        .map_err(|source| StackError::ProducerStart {
            path: binary.to_owned(),
            source,
        })
}

/// A producer that is ready.
#[derive(Debug)]
pub(super) struct Producer {
    process: SupervisedProcess,
    address: SocketAddr,
}

impl Producer {
    /// Starts the producer and waits until it reports that it can reach the queue.
    pub(super) async fn start(
        binary: &Path,
        variables: &BTreeMap<String, String>,
    ) -> Result<Self, StackError> {
        let process = SupervisedProcess::start(binary, variables).map_err(|source| {
            StackError::ProducerStart {
                path: binary.to_owned(),
                source,
            }
        })?;
        let address = match wait_until_ready(&process).await {
            Ok(address) => address,
            Err(error) => {
                process.stop(Duration::ZERO).await;
                return Err(error);
            }
        };
        Ok(Self { process, address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn log(&self) -> &ProcessLog {
        self.process.log()
    }

    /// Waits until the producer exits unexpectedly.
    pub(super) async fn wait_for_exit(&self) -> StackError {
        wait_for_exit(&self.process).await
    }

    /// Stops the producer once it has finished the accepted requests.
    pub(super) async fn stop(&self) {
        self.process.stop(STOP_TIMEOUT).await;
    }
}

async fn wait_until_ready(process: &SupervisedProcess) -> Result<SocketAddr, StackError> {
    let mut missing = "it did not log the address that it listens on".to_owned();
    let becoming_ready = async {
        let address = process.log().find(parse_listening_line).await;
        loop {
            match client::get(address, "/readyz").await {
                Ok(reply) if reply.status == StatusCode::OK => return address,
                Ok(reply) => {
                    missing = format!(
                        "GET /readyz returned {}: {}",
                        reply.status,
                        String::from_utf8_lossy(&reply.body)
                    )
                }
                Err(error) => missing = format!("GET /readyz on {address}: {error}"),
            }
            tokio::time::sleep(READY_POLL_INTERVAL).await;
        }
    };
    let outcome = tokio::select! {
        address = becoming_ready => Some(Ok(address)),
        error = wait_for_exit(process) => Some(Err(error)),
        () = tokio::time::sleep(READY_TIMEOUT) => None,
    };
    outcome.unwrap_or_else(|| {
        Err(StackError::ProducerNotReady {
            after: READY_TIMEOUT,
            missing,
            log: process.log().tail(),
        })
    })
}

async fn wait_for_exit(process: &SupervisedProcess) -> StackError {
    let exit = process.wait().await.to_string();
    StackError::ProducerEnded {
        exit,
        log: process.log().tail(),
    }
}

/// Returns the address in the log line that the producer writes once it listens.
fn parse_listening_line(line: &str) -> Option<SocketAddr> {
    let line = serde_json::from_str::<Value>(line).ok()?;
    if field(&line, "message")? != "listening" {
        return None;
    }
    field(&line, "address")?.parse().ok()
}

/// Returns a text field of a log line, at the top level or under `fields`.
fn field<'a>(line: &'a Value, name: &str) -> Option<&'a str> {
    line.get(name)
        .or_else(|| line.get("fields")?.get(name))?
        .as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_the_listening_line() {
        let flat = r#"{"level":"INFO","message":"listening","address":"127.0.0.1:8080"}"#;
        let nested = r#"{"fields":{"message":"listening","address":"127.0.0.1:8080"}}"#;
        for line in [flat, nested] {
            assert_eq!(
                parse_listening_line(line),
                Some("127.0.0.1:8080".parse().unwrap())
            );
        }
        for line in [
            "",
            "listening on 127.0.0.1:8080",
            r#"{"message":"listening"}"#,
            r#"{"message":"x","address":"127.0.0.1:1"}"#,
        ] {
            assert_eq!(parse_listening_line(line), None);
        }
    }
}
