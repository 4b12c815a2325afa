use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::support::binaries::Binaries;
use crate::support::functions::SCRIPTED;

/// Time limit below the one of the demo itself, and many times the duration of the first failure.
const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_demo_stops_early_for_a_function_that_is_not_its_own() {
    let binaries = Binaries::get();
    let mut demo = Command::new(&binaries.baton);
    demo.args(["demo", "--function", SCRIPTED, "--producer"])
        .arg(&binaries.producer)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(LIMIT, demo.output()).await.unwrap().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for expected in [
        "an ordinary onboarding, with \"",
        "The demo is for the onboarding function",
        "`baton up --function PATH`",
    ] {
        assert!(stderr.contains(expected), "{expected}: {stderr}");
    }
}
