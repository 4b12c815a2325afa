//! Spans that a function spilled to stdout, and their replay.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use baton_test_support::TestCollector;
use serde_json::Value;
use tokio::process::Command;

/// Member of every line with spilled spans.
const MARKER: &str = "baton.spill";

/// Error of a replay.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    #[error("cannot {action} {path}")]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{command} ended with {status}: {stderr}")]
    Failed {
        command: String,
        status: ExitStatus,
        stderr: String,
    },
}

/// Returns the number of stdout lines with spilled spans.
pub(crate) fn spill_lines(stdout: &[String]) -> usize {
    // Most lines have no spans, and some are too large to parse all of them.
    let candidates = stdout.iter().filter(|line| line.contains(MARKER));
    let is_spill = |line: &&String| {
        let line: Option<Value> = serde_json::from_str(line).ok();
        line.is_some_and(|line| line.get(MARKER).is_some())
    };
    candidates.filter(is_spill).count()
}

/// Sends the spilled spans of these lines to the collector with `baton replay`.
pub(crate) async fn replay(
    baton: &Path,
    stdout: &[String],
    collector: &TestCollector,
) -> Result<(), ReplayError> {
    let log = std::env::temp_dir().join(format!("baton-bench-{}.log", std::process::id()));
    let ledger = log.with_extension("ledger");
    let done = replay_file(baton, stdout, collector, &log, &ledger).await;
    for file in [log, ledger] {
        // Fails if the file was not written. A file that stays does no harm.
        let _ = fs::remove_file(&file);
    }
    done
}

async fn replay_file(
    baton: &Path,
    stdout: &[String],
    collector: &TestCollector,
    log: &Path,
    ledger: &Path,
) -> Result<(), ReplayError> {
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| ReplayError::File {
            action,
            path,
            source,
        }
    };
    fs::write(log, stdout.join("\n")).map_err(failed("write", log))?;
    let output = Command::new(baton)
        .arg("replay")
        .args(["--endpoint", &collector.endpoint(), "--ledger"])
        .args([ledger, log])
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(failed("run", baton))?;
    if output.status.success() {
        return Ok(());
    }
    Err(ReplayError::Failed {
        command: format!("{} replay", baton.display()),
        status: output.status,
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
