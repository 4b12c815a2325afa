//! Helpers to start the function and to wait for conditions.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;
use std::{env, fs};

use baton_local::environment::{Freeze, Function, Lambda, Phase};
use bytes::Bytes;
use tempfile::TempDir;

use crate::function;

/// Time limit of a condition that is expected soon; long, because the machine may be busy.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Returns the configuration of the test function.
pub(crate) fn function() -> Function {
    Function {
        name: "under-test".to_owned(),
        binary: bootstrap(),
        timeout: Duration::from_secs(30),
        memory_mb: 128,
        env: BTreeMap::new(),
        max_concurrency: NonZeroUsize::new(2).unwrap(),
        idle_after: Duration::from_secs(600),
        region: "eu-central-1".to_owned(),
        account_id: "123456789012".to_owned(),
        freeze: Freeze::BetweenInvocations,
    }
}

pub(crate) async fn start(change: impl FnOnce(&mut Function)) -> Lambda {
    let mut function = function();
    change(&mut function);
    Lambda::new(function).unwrap()
}

pub(crate) async fn invoke(lambda: &Lambda, event: &str) -> String {
    let response = lambda.invoke(Bytes::from(event.to_owned())).await.unwrap();
    String::from_utf8(response.to_vec()).unwrap()
}

/// Waits for a condition, and panics after [`SOON`].
pub(crate) async fn eventually(condition: &str, mut reached: impl FnMut() -> bool) {
    let waiting = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(SOON, waiting)
        .await
        .unwrap_or_else(|_| panic!("timed out waiting until {condition}"));
}

/// Waits until an environment works on an event.
pub(crate) async fn wait_until_working(lambda: &Lambda) {
    eventually("an environment works", || {
        let environments = lambda.snapshot().environments;
        environments
            .iter()
            .any(|environment| environment.phase == Phase::Running)
    })
    .await;
}

/// Returns the state of a process as the kernel names it: `S` sleeping, `T` stopped, `Z` zombie;
/// `None` if the process does not exist.
pub(crate) fn process_state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Returns a start script, as functions on `provided` have it, that runs this binary as the
/// function.
fn bootstrap() -> PathBuf {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        let binary = env::current_exe().unwrap();
        let role = function::ROLE;
        let script = format!(
            "#!/bin/sh\nexec '{}' --exact --ignored --nocapture {role}\n",
            binary.display()
        );
        executable(&folder, "bootstrap", &script);
        folder
    });
    FOLDER.path().join("bootstrap")
}

/// Writes an executable file.
pub(crate) fn executable(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    // The file is renamed after it was closed, because a file that is open for writing cannot be
    // executed.
    let draft = folder.path().join("draft");
    fs::write(&draft, text).unwrap();
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(draft, &path).unwrap();
    path
}
