//! Graceful shutdown of a function that registers an extension and thus gets SIGTERM.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use baton_test_support::{
    CollectorResponse, FakeLambda, Metric, ProcessExit, Record, Signal, TestCollector, event,
};
use rustix::process::{self, Pid, kill_process};
use serde_json::json;

use crate::support::eventually;
use crate::support::functions::{SCRIPTED, TIMEOUT, start, start_with};

/// Time that Lambda leaves a process with only internal extensions after SIGTERM.
const TERMINATION_LIMIT: Duration = Duration::from_millis(500);

/// Sends SIGTERM without waiting. Returns the time of the signal.
fn send_sigterm(lambda: &FakeLambda) -> Instant {
    let id = i32::try_from(lambda.process_id()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), process::Signal::TERM).unwrap();
    Instant::now()
}

/// Waits for the exit of a process that got SIGTERM, and asserts that it is clean and in time.
async fn wait_for_exit(lambda: FakeLambda, terminated: Instant) -> ProcessExit {
    // A process that is shutting down ignores a second signal.
    let ended = lambda.terminate(TERMINATION_LIMIT).await;
    let after = terminated.elapsed();
    assert!(!ended.killed && ended.status.success(), "{ended:?}");
    assert!(after < TERMINATION_LIMIT, "{after:?}");
    ended
}

#[tokio::test]
async fn on_sigterm_running_messages_finish_or_are_returned_and_spans_are_flushed() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let lambda = start_with(SCRIPTED, &collector, |function| {
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
    let invoking = lambda.invoke_for_response(event(&records), TIMEOUT);
    let terminating = async {
        eventually("three records have begun", async || {
            let log = lambda.stdout().join("\n");
            (log.matches("message's trace context").count() == 3).then_some(())
        })
        .await;
        send_sigterm(&lambda)
    };
    let (response, terminated) = tokio::join!(invoking, terminating);
    let id = |number| json!({"itemIdentifier": Record::new(number).message_id});
    let failed = json!({"batchItemFailures": [id(1), id(2), id(3)]});
    assert_eq!(response.unwrap(), Ok(failed));
    wait_for_exit(lambda, terminated).await;
    let spans = collector.spans().unwrap();
    assert_eq!(spans.len(), records.len() + 1);
    let shut_down = spans
        .iter()
        .filter(|span| span.attributes.get("error.type") == Some(&"shutdown".into()));
    assert_eq!(shut_down.count(), 3);
}

#[tokio::test]
async fn without_concurrent_invocations_no_extension_is_registered() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let lambda = start(SCRIPTED, &collector).await;
    lambda.wait_until_ready().await.unwrap();
    assert!(lambda.extensions().is_empty());
}

/// Sends SIGTERM while the flush waits for a hanging collector. Returns the log of the process, and
/// its metrics, which another collector receives.
async fn terminate_while_flushing(flush_point: &str) -> (Vec<String>, Vec<Metric>) {
    let collector = TestCollector::start(CollectorResponse::Hang).await.unwrap();
    let metrics = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let metrics_endpoint = format!("{}/v1/metrics", metrics.endpoint());
    let lambda = start_with(SCRIPTED, &collector, |function| {
        function
            .max_concurrency(NonZeroUsize::new(2).unwrap())
            .variable("BATON_GRACEFUL_SHUTDOWN", "on")
            .variable("BATON_FLUSH_POINT", flush_point)
            .variable("BATON_FLUSH_TIMEOUT", "30000")
            .variable("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", &metrics_endpoint)
    })
    .await;
    let payload = event(&[Record::new(0).traced(0)]);
    let invoking = lambda.invoke_for_response(payload, TIMEOUT);
    let terminating = async {
        eventually("the flush", async || {
            collector.exports(Signal::Traces).first().map(drop)
        })
        .await;
        send_sigterm(&lambda)
    };
    let (response, terminated) = tokio::join!(invoking, terminating);
    assert_eq!(response.unwrap(), Ok(json!({"batchItemFailures": []})));
    let log = wait_for_exit(lambda, terminated).await.stdout;
    (log, metrics.metrics().unwrap())
}

#[tokio::test]
async fn shutdown_cuts_a_running_flush_short_and_the_response_is_sent() {
    let (log, metrics) = terminate_while_flushing("before-response").await;
    let log = log.join("\n");
    assert!(log.contains("flush cut short by the shutdown"), "{log}");
    assert!(!log.contains("timed out waiting for the response"), "{log}");
    let flushes = metrics
        .iter()
        .filter(|metric| metric.name == "baton.telemetry.flush.duration");
    let outcomes: Vec<_> = flushes.flat_map(|metric| &metric.points).collect();
    assert_eq!(outcomes.len(), 1, "{metrics:?}");
    let outcome = outcomes[0].attributes.get("baton.telemetry.outcome");
    assert_eq!(outcome, Some(&"shutdown".into()));
}

#[tokio::test]
async fn shutdown_after_the_response_does_not_log_an_unanswered_invocation() {
    let (log, _) = terminate_while_flushing("after-response").await;
    let log = log.join("\n");
    assert!(log.contains("shutting down"), "{log}");
    assert!(!log.contains("timed out waiting for the response"), "{log}");
}

#[tokio::test]
async fn a_rejected_extension_does_not_prevent_handling_or_a_clean_exit() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let lambda = start_with(SCRIPTED, &collector, |function| {
        function
            .reject_extensions()
            .variable("BATON_GRACEFUL_SHUTDOWN", "on")
    })
    .await;
    let invocation = lambda.invoke(event(&[Record::new(0)]), TIMEOUT).await;
    let response = invocation.unwrap().response;
    assert_eq!(response, Ok(json!({"batchItemFailures": []})));
    assert!(lambda.extensions().is_empty());
    let log = wait_for_exit(lambda, Instant::now())
        .await
        .stdout
        .join("\n");
    assert!(
        log.contains("cannot register the internal extension"),
        "{log}"
    );
}
