//! The end of a function's process, where it is announced.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use baton_tests::{Answer, Collector, Record, event};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::eventually;
use crate::support::functions::{OBEDIENT, TIMEOUT, start, start_with};

/// What Lambda gives a process with internal extensions only.
const LAMBDAS_LIMIT: Duration = Duration::from_millis(500);

#[tokio::test]
async fn what_is_under_way_is_finished_or_returned_and_flushed_before_the_end() {
    let collector = Collector::start(Answer::Ok).await.unwrap();
    let lambda = start_with(OBEDIENT, &collector, |function| {
        function
            .max_concurrency(NonZeroUsize::new(2).unwrap())
            .variable("BATON_GRACEFUL_SHUTDOWN", "on")
            .variable("BATON_CONCURRENCY", "2")
            .variable("RUST_LOG", "baton_lambda=debug")
    })
    .await;
    lambda.ready().await.unwrap();
    assert_eq!(lambda.extensions(), ["baton-graceful-shutdown"]);
    let records = [
        Record::new(0).traced(0),
        Record::new(1).traced(1).body(json!({"sleep_ms": 60_000})),
        Record::new(2).traced(2).body(json!({"sleep_ms": 60_000})),
        Record::new(3).traced(3),
    ];
    let answering = lambda.respond(event(&records), TIMEOUT);
    let terminating = async {
        eventually("three records have begun", async || {
            let log = lambda.stdout().join("\n");
            (log.matches("message's trace context").count() == 3).then_some(())
        })
        .await;
        let id = i32::try_from(lambda.process_id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
        Instant::now()
    };
    let (response, terminated) = tokio::join!(answering, terminating);
    let id = |number| json!({"itemIdentifier": Record::new(number).message_id});
    let failed = json!({"batchItemFailures": [id(1), id(2), id(3)]});
    assert_eq!(response.unwrap(), Ok(failed));
    // The second signal means nothing to a process that is ending.
    let ended = lambda.terminate(LAMBDAS_LIMIT).await;
    assert!(!ended.killed && ended.status.success(), "{ended:?}");
    assert!(
        terminated.elapsed() < LAMBDAS_LIMIT,
        "{:?}",
        terminated.elapsed()
    );
    let spans = collector.spans().unwrap();
    assert_eq!(spans.len(), records.len() + 1);
    let shut_down = spans
        .iter()
        .filter(|span| span.attributes.get("error.type") == Some(&"shutdown".into()));
    assert_eq!(shut_down.count(), 3);
}

#[tokio::test]
async fn on_ordinary_lambda_nothing_is_registered() {
    let collector = Collector::start(Answer::Ok).await.unwrap();
    let lambda = start(OBEDIENT, &collector).await;
    lambda.ready().await.unwrap();
    assert!(lambda.extensions().is_empty());
}
