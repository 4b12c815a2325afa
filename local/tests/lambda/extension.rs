use std::path::PathBuf;
use std::time::{Duration, Instant};

use baton_local::environment::{Lambda, Phase};
use tempfile::TempDir;

use crate::support::{SOON, eventually, executable, function, invoke, start};

/// Registration without events.
const WITHOUT_EVENTS: &str = r#"{"events":[]}"#;

#[tokio::test]
async fn a_frozen_environment_with_an_extension_gets_sigterm() {
    let (lambda, _folder) = with_shell("trap 'echo told; exit 0' TERM", WITHOUT_EVENTS).await;
    let register = find_line(&lambda, "/2020-01-01/extension/register 200 ").unwrap();
    assert!(
        register.contains(r#""functionName":"under-test""#),
        "{register}"
    );

    eventually("the idle environment is reaped", || {
        lambda.snapshot().reaped == 1
    })
    .await;
    eventually("its process got the signal", || {
        find_line(&lambda, "told").is_some()
    })
    .await;
    lambda.shutdown().await;
    assert_eq!(find_line(&lambda, "still running"), None);
    assert_eq!(lambda.snapshot().exited, 0);
}

#[tokio::test]
async fn a_process_that_ignores_sigterm_is_killed_half_a_second_later() {
    let (lambda, _folder) = with_shell("trap '' TERM", WITHOUT_EVENTS).await;
    let begun = Instant::now();
    lambda.kill_idle().await;
    lambda.shutdown().await;
    assert!(begun.elapsed() < SOON);
    eventually("it is logged", || {
        find_line(&lambda, "still running 500ms after SIGTERM").is_some()
    })
    .await;
    assert_eq!(lambda.snapshot().environments, []);
}

#[tokio::test]
async fn without_an_extension_nothing_is_announced() {
    let shell = "trap 'echo told; exit 0' TERM";
    let (lambda, _folder) = with_shell(shell, r#"{"events":["INVOKE"]}"#).await;
    let refusal = find_line(&lambda, "/2020-01-01/extension/register 400 ").unwrap();
    assert!(refusal.contains("expected no events: "), "{refusal}");
    let unknown = find_line(&lambda, "/2022-07-01/telemetry 404 ").unwrap();
    assert!(
        unknown.contains("the local stack does not support POST /2022-07-01/telemetry"),
        "{unknown}"
    );

    lambda.kill_idle().await;
    lambda.shutdown().await;
    assert_eq!(find_line(&lambda, "told"), None);
}

/// Starts a function inside a shell that first runs `first`, and invokes it once.
async fn with_shell(first: &str, registration: &str) -> (Lambda, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let binary: PathBuf = function().binary;
    let script = format!("#!/bin/sh\n{first}\n'{}' &\nwait\n", binary.display());
    let wrapper = executable(&folder, "bootstrap", &script);
    let lambda = start(|function| {
        function.binary = wrapper;
        function.idle_after = Duration::from_millis(300);
        let variable = ("EXTENSION".to_owned(), registration.to_owned());
        function.env.extend([variable]);
    })
    .await;
    invoke(&lambda, "echo x").await;
    // The function responds before it polls for the next event, and a busy environment is killed
    // without an announcement.
    let at_work = [Phase::Running, Phase::Finishing];
    eventually("the environment is idle", || {
        let environments = lambda.snapshot().environments;
        !environments
            .iter()
            .any(|environment| at_work.contains(&environment.phase))
    })
    .await;
    (lambda, folder)
}

fn find_line(lambda: &Lambda, text: &str) -> Option<String> {
    let lines = lambda.logs().recent();
    let found = lines.iter().find(|line| line.text.contains(text))?;
    Some(found.text.to_string())
}
