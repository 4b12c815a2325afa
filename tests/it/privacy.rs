use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::binaries::Binaries;
use crate::support::producer::{ADDRESS, Client, OwnProducer, SECRET};
use crate::support::spans::PROCESS;
use crate::support::stack::Stack;

#[tokio::test]
async fn no_address_is_in_any_span_or_log_line() {
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
    let own = OwnProducer::start(&stack.endpoints);
    let producer = own.client().await;
    everything_that_can_go_wrong(&stack, &producer).await;
    // One delivery of the sound one, two each of the six others.
    stack.spans().named(PROCESS, 13).await;
    stack.queue().drained().await;
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

/// Has the address pass through every refusal and every failure.
async fn everything_that_can_go_wrong(stack: &Stack, producer: &Client) {
    producer.onboard_each(&["c-1", "c-2", "c-3"]).await;
    producer.onboard_poison("c-4").await;
    producer
        .try_in_vain(&format!("/onboarding/{ADDRESS}"), "{}")
        .await;
    producer
        .try_in_vain(
            "/onboarding",
            &json!({ADDRESS: ADDRESS, "customer_id": ADDRESS, "email": [ADDRESS]}).to_string(),
        )
        .await;
    for body in undecodable() {
        stack.queue().send(&body).await;
    }
}

/// Bodies in which the address stands where a decoder may stumble over it and quote it.
fn undecodable() -> [String; 3] {
    let list = json!({"customer_id": "c-5", "email": [ADDRESS], "plan": "team"});
    let plan = json!({"customer_id": "c-6", "email": ADDRESS, "plan": ADDRESS});
    [
        format!("{ADDRESS} is no JSON"),
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
