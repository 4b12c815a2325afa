//! Starting the function, and waiting for what must become true.

use std::{
    collections::BTreeMap, env, fs, num::NonZeroUsize, os::unix::fs::PermissionsExt as _,
    path::PathBuf, sync::LazyLock, time::Duration,
};

use baton_local::environment::{Freeze, Function, Lambda, Phase};
use bytes::Bytes;
use tempfile::TempDir;

use crate::function;

/// How long anything may take that is expected to happen at once; generous, because the machine may
/// be busy.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The function as AWS would have it, apart from what a test changes.
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
    Lambda::start(function).await.unwrap()
}

pub(crate) async fn invoke(lambda: &Lambda, event: &str) -> String {
    let response = lambda.invoke(Bytes::from(event.to_owned())).await.unwrap();
    String::from_utf8(response.to_vec()).unwrap()
}

/// Tries until it is so, and fails when it never is.
pub(crate) async fn eventually(what: &str, mut reached: impl FnMut() -> bool) {
    let waiting = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(SOON, waiting)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
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

/// State of a process as the kernel names it: `S` sleeping, `T` stopped, `Z` ended; `None` when
/// there is none.
pub(crate) fn process_state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// A start script, as functions on `provided` have it, that runs this binary as the function.
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

/// A file that can be executed; what it says is up to the caller.
pub(crate) fn executable(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    // Under its name only once it is complete and closed: a file that is open for writing cannot be
    // executed.
    let draft = folder.path().join("draft");
    fs::write(&draft, text).unwrap();
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(draft, &path).unwrap();
    path
}
