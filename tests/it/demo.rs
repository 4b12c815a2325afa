use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::support::binaries::Binaries;
use crate::support::functions::OBEDIENT;

/// Less than the demo would wait for what never comes, and many times what the first failure takes.
const EARLY: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_function_that_the_demo_is_not_for_ends_it_early_and_with_the_reason() {
    let binaries = Binaries::get();
    let mut demo = Command::new(&binaries.baton);
    demo.args(["demo", "--function", OBEDIENT, "--producer"])
        .arg(&binaries.producer)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(EARLY, demo.output()).await.unwrap().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for expected in [
        "an ordinary onboarding, with \"",
        "The demo is for the onboarding function",
        "`baton up --function PATH`",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}
