use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::binaries::Binaries;

/// Time limit of a run, which takes a few seconds.
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_load_starts_its_own_stack_and_accounts_for_every_message() {
    let binaries = Binaries::get();
    let mut load = Command::new(&binaries.baton);
    load.args([
        "load",
        "--rate=40",
        "--duration=2s",
        "--json=-",
        "--function",
    ])
    .arg(&binaries.function)
    .arg("--producer")
    .arg(&binaries.producer)
    .stdin(Stdio::null())
    .kill_on_drop(true);
    let output = timeout(LIMIT, load.output()).await.unwrap().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["requests"]["accepted"], 80, "{report}");
    let check = &report["check"];
    assert_eq!(check["result"], "complete", "{check}");
    assert_eq!(check["source"], "local_stack");
    assert_eq!(
        (&check["processed"], &check["queued"]),
        (&80.into(), &0.into())
    );
    assert!(
        stderr.contains("all 80 were processed or dead-lettered"),
        "{stderr}"
    );
}
