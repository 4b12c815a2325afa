//! The fakes themselves: what they say about moments, failures and ends must be true, or no test
//! built on them means anything.

use std::time::Duration;

use baton_test_support::{
    Answer, Behaviour, Bytes, FakeLambda, Function, LambdaError, Record, Signal, TestCollector,
    event,
};
use serde_json::json;

use crate::support::functions::{OBEDIENT, TIMEOUT, function, start};
use crate::support::processes;

mod collector;
mod runtime_api;

/// Longer than any scheduling delay that a test can mistake for it.
const A_WHILE: Duration = Duration::from_millis(300);

fn sleeping(number: u64) -> Bytes {
    let milliseconds = u64::try_from(A_WHILE.as_millis()).unwrap();
    let body = json!({"sleep_ms": milliseconds});
    event(&[Record::new(number).traced(number).body(body)])
}

#[tokio::test]
async fn an_invocation_tells_how_long_it_took() {
    let collector = TestCollector::start(Answer::Delay(A_WHILE)).await.unwrap();
    let lambda = start(OBEDIENT, &collector).await;
    let invocation = lambda.invoke(sleeping(0), TIMEOUT).await.unwrap();
    assert!(invocation.response_time() >= 2 * A_WHILE);
    assert!(invocation.billed_time() >= invocation.response_time());
    let export = &collector.exports(Signal::Traces)[0];
    let exported_after = export.arrived_at - invocation.delivered_at;
    assert!(exported_after >= A_WHILE && export.arrived_at < invocation.responded_at);
}

#[tokio::test]
async fn a_function_that_is_late_has_timed_out() {
    let collector = TestCollector::start(Answer::Ok).await.unwrap();
    let lambda = start(OBEDIENT, &collector).await;
    lambda.wait_until_ready().await.unwrap();
    let limit = A_WHILE / 3;
    // Blocked, it cannot even see that its time is up.
    let blocked = Record::new(0).body(json!({"block_ms": 3 * limit.as_millis()}));
    let late = lambda.invoke(event(&[blocked]), limit).await;
    assert!(
        matches!(late, Err(LambdaError::TimedOut(after)) if after == limit),
        "{late:?}"
    );
}

#[tokio::test]
async fn a_frozen_function_does_nothing_until_it_is_invoked_again() {
    let collector = TestCollector::start(Answer::Ok).await.unwrap();
    let function = function(OBEDIENT, &collector).freeze();
    let lambda = FakeLambda::start(&function).await.unwrap();
    for number in 0..3 {
        let payload = event(&[Record::new(number)]);
        lambda.invoke(payload, TIMEOUT).await.unwrap();
        let is_frozen = async || processes::is_frozen(lambda.process_id()).then_some(());
        crate::support::eventually("the process stopped", is_frozen).await;
    }
    let ended = lambda.terminate(TIMEOUT).await;
    assert!(!ended.killed, "{ended:?}");
}

#[tokio::test]
async fn a_process_that_ends_is_reported_with_its_last_words() {
    let shell = Function::new("/bin/sh").argument("-c");
    let lambda = FakeLambda::start(&shell.argument("echo gone >&2; exit 3")).await;
    let error = lambda
        .unwrap()
        .wait_until_ready()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("exit status: 3") && error.contains("gone"),
        "{error}"
    );
}

#[tokio::test]
async fn a_process_that_does_not_end_in_time_is_killed() {
    let script = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    let shell = Function::new("/bin/sh").argument("-c").argument(script);
    let lambda = FakeLambda::start(&shell).await.unwrap();
    crate::support::eventually("its first line", async || lambda.stdout().pop()).await;
    let ended = lambda.terminate(A_WHILE).await;
    assert!(ended.killed && ended.duration >= A_WHILE, "{ended:?}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let error = FakeLambda::start(&Function::new("/none/such")).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("/none/such"), "{error}");
}

#[tokio::test]
async fn a_collector_answers_as_it_is_told() {
    let twice = Behaviour::script(&[Answer::Status(503); 2]);
    let collector = TestCollector::start(twice).await.unwrap();
    let lambda = start(OBEDIENT, &collector).await;
    for number in 0..3 {
        let payload = event(&[Record::new(number).traced(number)]);
        lambda.invoke(payload, TIMEOUT).await.unwrap();
    }
    let answers: Vec<Answer> = collector
        .exports(Signal::Traces)
        .iter()
        .map(|e| e.answer)
        .collect();
    let refused = Answer::Status(503);
    // The first invocation asks a second time, and then writes its spans to stdout: only what was
    // accepted counts.
    assert_eq!(answers, [refused, refused, Answer::Ok, Answer::Ok]);
    assert_eq!(collector.spans().unwrap().len(), 2 * 2);
}

#[tokio::test]
async fn a_collector_that_hangs_or_hangs_up_has_accepted_nothing() {
    for answer in [Answer::Hang, Answer::Disconnect] {
        let collector = TestCollector::start(answer).await.unwrap();
        let function = function(OBEDIENT, &collector).variable("BATON_FLUSH_TIMEOUT", "500");
        let lambda = FakeLambda::start(&function).await.unwrap();
        let payload = event(&[Record::new(0)]);
        let invocation = lambda.invoke(payload, TIMEOUT).await.unwrap();
        assert!(invocation.response.is_ok());
        assert!(!collector.exports(Signal::Traces).is_empty());
        assert!(collector.spans().unwrap().is_empty());
    }
}
