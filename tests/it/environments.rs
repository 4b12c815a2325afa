use std::path::Path;

use serde_json::json;

use crate::support::functions::SCRIPTED;
use crate::support::spans::{BATCH, PROCESS, REQUEST, SEND};
use crate::support::stack::Stack;
use crate::support::{eventually, processes};

#[tokio::test]
async fn nothing_is_lost_when_environments_are_frozen_and_killed() {
    let stack = Stack::up(&["--idle-after", "500ms", "--concurrency", "1"]).await;
    let mut accepted = Vec::new();
    for round in 0..3 {
        accepted.push(stack.producer().onboard(&format!("c-{round}")).await);
        wait_until_frozen_and_killed(&stack).await;
    }
    for message in &accepted {
        let trace = stack.spans().trace(message, 1).await;
        let store = trace.children(trace.span(PROCESS));
        assert_eq!(
            [store.len(), trace.0.len()],
            [1, [REQUEST, SEND, PROCESS].len() + 1],
            "{trace:#?}"
        );
    }
    let batches = stack.spans().wait_for(BATCH, accepted.len()).await;
    assert_eq!(batches.len(), accepted.len());
    assert!(
        batches
            .iter()
            .all(|batch| batch.attribute("faas.coldstart") == &json!(true)),
        "{batches:#?}"
    );
    stack.queue().wait_until_empty().await;
    stack.stop().await;
}

#[tokio::test]
async fn a_panic_fails_only_its_message_and_the_process_continues() {
    let options = [
        "--batching-window",
        "1s",
        "--concurrency",
        "1",
        "--visibility-timeout",
        "4s",
        "--function-timeout",
        "2s",
    ];
    let stack = Stack::up(&[&options[..], &["--faults", "panic=c-2"]].concat()).await;
    let accepted = stack.producer().onboard_each(&["c-1", "c-2", "c-3"]).await;
    let panicked = stack.spans().trace(&accepted[1], 2).await;
    assert_eq!(panicked.failures(), [true, false], "{panicked:#?}");
    for other in [&accepted[0], &accepted[2]] {
        assert_eq!(stack.spans().trace(other, 1).await.failures(), [false]);
    }
    let mut batches = stack.spans().wait_for(BATCH, 2).await;
    batches.sort_by_key(|batch| batch.start_unix_nano);
    let cold: Vec<_> = batches
        .iter()
        .map(|batch| batch.attribute("faas.coldstart").clone())
        .collect();
    assert_eq!(
        cold,
        [json!(true), json!(false)],
        "one process handled both batches"
    );
    stack.queue().wait_until_empty().await;
    stack.stop().await;
}

#[tokio::test]
async fn a_function_with_an_extension_gets_sigterm_before_it_is_killed() {
    let options = [
        "--env",
        "BATON_GRACEFUL_SHUTDOWN=on",
        "--idle-after",
        "500ms",
        "--logs",
    ];
    let stack = Stack::up_with_function(Path::new(SCRIPTED), &options).await;
    stack.queue().send("{}").await;
    wait_until_frozen_and_killed(&stack).await;
    eventually("the function shuts down", async || {
        stack
            .log()
            .contains(r#""message":"shutting down""#)
            .then_some(())
    })
    .await;
    stack.queue().wait_until_empty().await;
    stack.stop().await;
}

/// Waits until an environment is frozen and its process has then been killed.
async fn wait_until_frozen_and_killed(stack: &Stack) {
    let frozen = eventually("a frozen environment", async || {
        stack
            .processes()
            .into_iter()
            .find(|process| process.is_frozen())
    })
    .await;
    eventually("the end of its process", async || {
        processes::alive(std::slice::from_ref(&frozen))
            .is_empty()
            .then_some(())
    })
    .await;
}
