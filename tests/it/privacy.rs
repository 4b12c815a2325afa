use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::binaries::Binaries;
use crate::support::producer::{ADDRESS, Client, SECRET, StandaloneProducer};
use crate::support::spans::PROCESS;
use crate::support::stack::Stack;

#[tokio::test]
async fn no_span_or_log_line_contains_an_address() {
    let folder = tempfile::tempdir().unwrap();
    let (function, function_log) = logging_function(folder.path());
    let options = [
        "--visibility-timeout",
        "3s",
        "--function-timeout",
        "2s",
        "--max-receive-count",
        "2",
        "--faults",
        "fail-once=c-2,panic=c-3",
    ];
    let stack = Stack::up_with_function(&function, &options).await;
    let own = StandaloneProducer::start(&stack.endpoints);
    let producer = own.client().await;
    cause_every_failure(&stack, &producer).await;
    // One delivery of the valid message, and two of each of the six others.
    stack.spans().wait_for(PROCESS, 13).await;
    stack.queue().wait_until_empty().await;
    let (spans, stack_log) = (stack.spans().text().await, stack.log());
    stack.stop().await;

    let logs = [
        own.into_log().await,
        fs::read_to_string(function_log).unwrap(),
    ];
    assert!(
        logs.iter().all(|log| log.lines().count() > 1),
        "both wrote a log: {logs:?}"
    );
    for text in [&spans, &stack_log, &logs[0], &logs[1]] {
        assert!(
            !text.contains(SECRET),
            "{}",
            text.lines()
                .find(|line| line.contains(SECRET))
                .unwrap_or(text)
        );
    }
}

/// Sends the address through every validation error and every failure.
async fn cause_every_failure(stack: &Stack, producer: &Client) {
    producer.onboard_each(&["c-1", "c-2", "c-3"]).await;
    producer.onboard_poison("c-4").await;
    producer
        .expect_client_error(&format!("/onboarding/{ADDRESS}"), "{}")
        .await;
    producer
        .expect_client_error(
            "/onboarding",
            &json!({ADDRESS: ADDRESS, "customer_id": ADDRESS, "email": [ADDRESS]}).to_string(),
        )
        .await;
    for body in invalid_bodies() {
        stack.queue().send(&body).await;
    }
}

/// Bodies with the address in places where a decoder may fail and quote it.
fn invalid_bodies() -> [String; 3] {
    let list = json!({"customer_id": "c-5", "email": [ADDRESS], "plan": "team"});
    let plan = json!({"customer_id": "c-6", "email": ADDRESS, "plan": ADDRESS});
    [
        format!("{ADDRESS} is not JSON"),
        list.to_string(),
        plan.to_string(),
    ]
}

/// A script that runs the function and writes its log to a file, because `baton up` does not print
/// that log. Because of the script's name, `baton up` treats it as the onboarding function and
/// accepts `--faults`.
fn logging_function(folder: &Path) -> (PathBuf, PathBuf) {
    let (script, log) = (
        folder.join("onboarding-lambda"),
        folder.join("function.log"),
    );
    let text = format!(
        "#!/bin/sh\nexec '{}' >>'{}' 2>&1\n",
        Binaries::get().function.display(),
        log.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    (script, log)
}
