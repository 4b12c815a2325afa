//! Test of a local stack that is killed: this binary once more, in the role of a host of
//! environments.

use std::process::Stdio;
use std::time::Duration;

use baton_local::environment::{Lambda, Phase};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::support::{eventually, invoke, process_state, start};

/// Set for the host role, in contrast to a run of all ignored tests.
const ROLE_VARIABLE: &str = "BATON_TEST_HOST";

#[tokio::test]
#[ignore = "not a test: another test runs this as a host, and kills it"]
async fn runs_as_a_host() {
    if std::env::var_os(ROLE_VARIABLE).is_none() {
        return;
    }
    let lambda = start(|_| {}).await;
    invoke(&lambda, "echo x").await;
    eventually("the environment is idle", || idle(&lambda).is_some()).await;
    println!("\nfrozen {}", idle(&lambda).unwrap());
    tokio::time::sleep(Duration::from_secs(600)).await;
}

#[tokio::test]
async fn a_killed_host_leaves_no_frozen_process_behind() {
    if session("1") == session("self") {
        // In such a container, the kernel does not regard the host's processes as orphaned.
        eprintln!("skipped: the process that adopts orphans is in this very session");
        return;
    }
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--ignored",
            "--nocapture",
            "host::runs_as_a_host",
        ])
        .env(ROLE_VARIABLE, "1")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(host.stdout.take().unwrap()).lines();
    let frozen: u32 = loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some(pid) = line.strip_prefix("frozen ") {
            break pid.parse().unwrap();
        }
    };
    eventually("the process is stopped", || {
        process_state(frozen) == Some('T')
    })
    .await;

    host.kill().await.unwrap();

    eventually("the frozen process has ended", || {
        matches!(process_state(frozen), None | Some('Z'))
    })
    .await;
}

fn session(process: &str) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The fields after the name: state, parent, group, session.
    stat.rsplit_once(") ")?
        .1
        .split(' ')
        .nth(3)
        .map(str::to_owned)
}

fn idle(lambda: &Lambda) -> Option<u32> {
    lambda
        .snapshot()
        .environments
        .iter()
        .find(|environment| environment.phase == Phase::Idle)?
        .pid
}
