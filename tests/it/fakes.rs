//! The fakes themselves. All other tests rely on the times, errors and exits that they report.

use std::time::Duration;

use baton_test_support::{
    Behaviour, Bytes, CollectorResponse, FakeLambda, Function, LambdaError, Record, Signal,
    TestCollector, event,
};
use serde_json::json;

use crate::support::functions::{SCRIPTED, TIMEOUT, function, start};
use crate::support::{eventually, processes};

mod collector;
mod runtime_api;

/// Longer than any scheduling delay, so that a test can tell the two apart.
const DELAY: Duration = Duration::from_millis(300);

fn sleeping(number: u64) -> Bytes {
    let milliseconds = u64::try_from(DELAY.as_millis()).unwrap();
    let body = json!({"sleep_ms": milliseconds});
    event(&[Record::new(number).traced(number).body(body)])
}

#[tokio::test]
async fn an_invocation_has_its_response_time_and_billed_time() {
    let collector = TestCollector::start(CollectorResponse::Delay(DELAY))
        .await
        .unwrap();
    let lambda = start(SCRIPTED, &collector).await;
    let invocation = lambda.invoke(sleeping(0), TIMEOUT).await.unwrap();
    assert!(invocation.response_time() >= 2 * DELAY);
    assert!(invocation.billed_time() >= invocation.response_time());
    let export = &collector.exports(Signal::Traces)[0];
    let exported_after = export.arrived_at - invocation.delivered_at;
    assert!(exported_after >= DELAY && export.arrived_at < invocation.responded_at);
}

#[tokio::test]
async fn a_function_that_misses_its_deadline_times_out() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let lambda = start(SCRIPTED, &collector).await;
    lambda.wait_until_ready().await.unwrap();
    let limit = DELAY / 3;
    // A blocked thread cannot cancel the handler either.
    let blocked = Record::new(0).body(json!({"block_ms": 3 * limit.as_millis()}));
    let late = lambda.invoke(event(&[blocked]), limit).await;
    assert!(
        matches!(late, Err(LambdaError::TimedOut(after)) if after == limit),
        "{late:?}"
    );
}

#[tokio::test]
async fn a_frozen_process_is_stopped_until_the_next_invocation() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let function = function(SCRIPTED, &collector).freeze();
    let lambda = FakeLambda::start(&function).await.unwrap();
    for number in 0..3 {
        let payload = event(&[Record::new(number)]);
        lambda.invoke(payload, TIMEOUT).await.unwrap();
        let is_frozen = async || processes::is_frozen(lambda.process_id()).then_some(());
        eventually("the process stopped", is_frozen).await;
    }
    let ended = lambda.terminate(TIMEOUT).await;
    assert!(!ended.killed, "{ended:?}");
}

#[tokio::test]
async fn a_process_that_exits_is_reported_with_its_stderr() {
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
async fn a_process_that_ignores_sigterm_is_killed() {
    let script = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    let shell = Function::new("/bin/sh").argument("-c").argument(script);
    let lambda = FakeLambda::start(&shell).await.unwrap();
    eventually("its first line", async || lambda.stdout().pop()).await;
    let ended = lambda.terminate(DELAY).await;
    assert!(ended.killed && ended.duration >= DELAY, "{ended:?}");
}

#[tokio::test]
async fn a_missing_program_is_named_in_the_error() {
    let error = FakeLambda::start(&Function::new("/none/such")).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("/none/such"), "{error}");
}

#[tokio::test]
async fn a_collector_responds_by_its_script() {
    let behaviour = Behaviour::script(&[CollectorResponse::Status(503); 2]);
    let collector = TestCollector::start(behaviour).await.unwrap();
    let lambda = start(SCRIPTED, &collector).await;
    for number in 0..3 {
        let payload = event(&[Record::new(number).traced(number)]);
        lambda.invoke(payload, TIMEOUT).await.unwrap();
    }
    let responses: Vec<CollectorResponse> = collector
        .exports(Signal::Traces)
        .iter()
        .map(|e| e.response)
        .collect();
    let refused = CollectorResponse::Status(503);
    // The first invocation retries once and then spills its spans to stdout, so only the spans of
    // the other two arrive.
    assert_eq!(
        responses,
        [
            refused,
            refused,
            CollectorResponse::Ok,
            CollectorResponse::Ok
        ]
    );
    assert_eq!(collector.spans().unwrap().len(), 2 * 2);
}

#[tokio::test]
async fn a_collector_that_hangs_or_disconnects_accepts_nothing() {
    for response in [CollectorResponse::Hang, CollectorResponse::Disconnect] {
        let collector = TestCollector::start(response).await.unwrap();
        let function = function(SCRIPTED, &collector).variable("BATON_FLUSH_TIMEOUT", "500");
        let lambda = FakeLambda::start(&function).await.unwrap();
        let payload = event(&[Record::new(0)]);
        let invocation = lambda.invoke(payload, TIMEOUT).await.unwrap();
        assert!(invocation.response.is_ok());
        assert!(!collector.exports(Signal::Traces).is_empty());
        assert!(collector.spans().unwrap().is_empty());
    }
}
