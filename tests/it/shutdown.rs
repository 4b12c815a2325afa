//! The end of a function's process, where it is announced.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use baton_test_support::{Answer, FakeLambda, ProcessExit, Record, Signal, TestCollector, event};
use rustix::process::{self, Pid, kill_process};
use serde_json::json;

use crate::support::eventually;
use crate::support::functions::{OBEDIENT, TIMEOUT, start, start_with};

/// What Lambda gives a process with internal extensions only.
const LAMBDAS_LIMIT: Duration = Duration::from_millis(500);

/// Sends SIGTERM, and leaves the process to itself.
fn terminate(lambda: &FakeLambda) -> Instant {
    let id = i32::try_from(lambda.process_id()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), process::Signal::TERM).unwrap();
    Instant::now()
}

/// The end of a process that has been told to end at this moment: in time, and by itself.
async fn ended(lambda: FakeLambda, terminated: Instant) -> ProcessExit {
    // A second signal means nothing to a process that is ending.
    let ended = lambda.terminate(LAMBDAS_LIMIT).await;
    let after = terminated.elapsed();
    assert!(!ended.killed && ended.status.success(), "{ended:?}");
    assert!(after < LAMBDAS_LIMIT, "{after:?}");
    ended
}

#[tokio::test]
async fn what_is_under_way_is_finished_or_returned_and_flushed_before_the_end() {
    let collector = TestCollector::start(Answer::Ok).await.unwrap();
    let lambda = start_with(OBEDIENT, &collector, |function| {
        function
            .max_concurrency(NonZeroUsize::new(2).unwrap())
            .variable("BATON_GRACEFUL_SHUTDOWN", "on")
            .variable("BATON_CONCURRENCY", "2")
            .variable("RUST_LOG", "baton_lambda=debug")
    })
    .await;
    lambda.wait_until_ready().await.unwrap();
    assert_eq!(lambda.extensions(), ["baton-graceful-shutdown"]);
    let records = [
        Record::new(0).traced(0),
        Record::new(1).traced(1).body(json!({"sleep_ms": 60_000})),
        Record::new(2).traced(2).body(json!({"sleep_ms": 60_000})),
        Record::new(3).traced(3),
    ];
    let answering = lambda.invoke_for_response(event(&records), TIMEOUT);
    let terminating = async {
        eventually("three records have begun", async || {
            let log = lambda.stdout().join("\n");
            (log.matches("message's trace context").count() == 3).then_some(())
        })
        .await;
        terminate(&lambda)
    };
    let (response, terminated) = tokio::join!(answering, terminating);
    let id = |number| json!({"itemIdentifier": Record::new(number).message_id});
    let failed = json!({"batchItemFailures": [id(1), id(2), id(3)]});
    assert_eq!(response.unwrap(), Ok(failed));
    ended(lambda, terminated).await;
    let spans = collector.spans().unwrap();
    assert_eq!(spans.len(), records.len() + 1);
    let shut_down = spans
        .iter()
        .filter(|span| span.attributes.get("error.type") == Some(&"shutdown".into()));
    assert_eq!(shut_down.count(), 3);
}

#[tokio::test]
async fn on_ordinary_lambda_nothing_is_registered() {
    let collector = TestCollector::start(Answer::Ok).await.unwrap();
    let lambda = start(OBEDIENT, &collector).await;
    lambda.wait_until_ready().await.unwrap();
    assert!(lambda.extensions().is_empty());
}

/// SIGTERM while the flush waits for a collector that hangs. Returns what the process said before
/// its end.
async fn ended_while_flushing(flush_point: &str) -> Vec<String> {
    let collector = TestCollector::start(Answer::Hang).await.unwrap();
    let lambda = start_with(OBEDIENT, &collector, |function| {
        function
            .max_concurrency(NonZeroUsize::new(2).unwrap())
            .variable("BATON_GRACEFUL_SHUTDOWN", "on")
            .variable("BATON_FLUSH_POINT", flush_point)
            .variable("BATON_FLUSH_TIMEOUT", "30000")
    })
    .await;
    let payload = event(&[Record::new(0).traced(0)]);
    let answering = lambda.invoke_for_response(payload, TIMEOUT);
    let terminating = async {
        eventually("the flush", async || {
            collector.exports(Signal::Traces).first().map(drop)
        })
        .await;
        terminate(&lambda)
    };
    let (response, terminated) = tokio::join!(answering, terminating);
    assert_eq!(response.unwrap(), Ok(json!({"batchItemFailures": []})));
    ended(lambda, terminated).await.stdout
}

#[tokio::test]
async fn the_end_cuts_a_flush_that_is_under_way_and_the_response_goes_out() {
    let log = ended_while_flushing("before-response").await.join("\n");
    assert!(log.contains("flush cut short by the shutdown"), "{log}");
    assert!(!log.contains("was not answered"), "{log}");
}

#[tokio::test]
async fn after_the_response_nothing_is_called_unanswered() {
    let log = ended_while_flushing("after-response").await.join("\n");
    assert!(log.contains("shutting down"), "{log}");
    assert!(!log.contains("was not answered"), "{log}");
}

#[tokio::test]
async fn where_the_extension_is_refused_the_signal_is_obeyed_and_messages_are_handled() {
    let collector = TestCollector::start(Answer::Ok).await.unwrap();
    let lambda = start_with(OBEDIENT, &collector, |function| {
        function
            .refuse_extensions()
            .variable("BATON_GRACEFUL_SHUTDOWN", "on")
    })
    .await;
    let invocation = lambda.invoke(event(&[Record::new(0)]), TIMEOUT).await;
    let response = invocation.unwrap().response;
    assert_eq!(response, Ok(json!({"batchItemFailures": []})));
    assert!(lambda.extensions().is_empty());
    let log = ended(lambda, Instant::now()).await.stdout.join("\n");
    assert!(log.contains("extension cannot be registered"), "{log}");
}
