//! Handlers of whole batches.

use std::sync::Mutex;
use std::time::Duration;

use opentelemetry::context::FutureExt as _;
use opentelemetry::global;
use opentelemetry::trace::Tracer as _;
use tokio::time::sleep;

use super::super::*;
use crate::testing::{Batch, Outcome, Record};
use crate::{Class, Consumer, Messages};

#[derive(Debug, thiserror::Error)]
#[error("the store is busy")]
struct Busy;

/// Settles each message as its body states, and returns the result that `last` names.
async fn settle(messages: Arc<Messages<String>>, last: &'static str) -> Result<(), Busy> {
    for (position, message) in messages.iter().enumerate() {
        match message.body.as_str() {
            "fail" => messages.fail(position, Failure::permanent("refused", "not wanted")),
            "fail-later" => messages.fail(position, Busy),
            "complete" => messages.complete(position),
            _ => {}
        }
    }
    match last {
        "error" => Err(Busy),
        "panic" => panic!("on purpose"),
        "wait" => {
            sleep(Duration::from_secs(60)).await;
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn run(bodies: &[&str], last: &'static str) -> Outcome {
    let batch = bodies
        .iter()
        .fold(Batch::standard("orders"), |batch, body| {
            batch.raw_message(*body)
        });
    run_records(batch, last).await
}

async fn run_records(batch: Batch, last: &'static str) -> Outcome {
    let consumer = Consumer::builder()
        .state(last)
        .classify(|_: &Busy| Class::retry("busy"));
    batch
        .timeout(Duration::from_secs(10))
        .run_batch_with(consumer, settle)
        .await
}

fn error_types(outcome: &Outcome) -> Vec<String> {
    let records = outcome
        .spans()
        .iter()
        .filter(|span| span.name.starts_with("process "));
    records
        .map(|span| {
            let error_type = span.attributes["error.type"].as_str();
            error_type.unwrap_or("none").to_owned()
        })
        .collect()
}

#[tokio::test]
async fn messages_that_the_handler_does_not_settle_are_done() {
    let outcome = run(&["a", "fail", "complete", "fail-later"], "").await;
    assert_eq!(outcome.failed(), ["message-2", "message-4"]);
    assert_eq!(error_types(&outcome), ["none", "refused", "none", "busy"]);
}

#[tokio::test]
async fn an_error_fails_the_messages_that_the_handler_has_not_settled() {
    let outcome = run(&["a", "fail", "complete"], "error").await;
    assert_eq!(outcome.failed(), ["message-1", "message-2"]);
    assert_eq!(error_types(&outcome), ["busy", "refused", "none"]);
}

#[tokio::test]
async fn a_panic_fails_the_messages_that_the_handler_has_not_settled() {
    let outcome = run(&["a", "fail", "complete"], "panic").await;
    assert_eq!(outcome.failed(), ["message-1", "message-2"]);
    assert_eq!(error_types(&outcome), ["panic", "refused", "none"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_handler_keeps_the_messages_that_it_has_settled() {
    let outcome = run(&["a", "fail", "complete"], "wait").await;
    assert_eq!(outcome.failed(), ["message-1", "message-2"]);
    assert_eq!(
        error_types(&outcome),
        ["deadline_exceeded", "refused", "none"]
    );
}

#[tokio::test]
async fn the_first_result_of_a_message_counts() {
    async fn handle(messages: Arc<Messages<String>>) -> Result<(), Failure> {
        messages.complete(0);
        messages.fail(0, "too late");
        Ok(())
    }
    let batch = Batch::standard("orders").raw_message("a");
    assert_eq!(batch.run_batch(handle).await.failed().len(), 0);
}

#[tokio::test]
async fn a_position_without_a_message_fails_the_batch_with_the_reason() {
    async fn handle(messages: Arc<Messages<String>>) -> Result<(), Failure> {
        messages.fail(1, "absent");
        Ok(())
    }
    let batch = Batch::standard("orders").raw_message("a");
    let outcome = batch.run_batch(handle).await;
    let error = outcome.spans()[0].error.as_deref();
    let expected = "the handler panicked: no message at position 1: the batch has 1";
    assert_eq!(error, Some(expected));
}

#[tokio::test]
async fn a_body_that_cannot_be_decoded_does_not_reach_the_handler() {
    async fn handle(messages: Arc<Messages<u8>>, seen: Arc<Mutex<Vec<u8>>>) -> Result<(), Failure> {
        let bodies = messages.iter().map(|message| message.body);
        seen.lock().unwrap().extend(bodies);
        Ok(())
    }
    let seen = Arc::default();
    let consumer = || Consumer::builder().state(Arc::clone(&seen));
    let batch = Batch::standard("orders").message(1).message("x").message(3);
    let outcome = batch.run_batch_with(consumer(), handle).await;
    assert_eq!(outcome.failed(), ["message-2"]);
    assert_eq!(error_types(&outcome), ["none", "invalid_body", "none"]);
    assert_eq!(*seen.lock().unwrap(), [1, 3]);
    // In a message group, the rest is not handled either.
    seen.lock().unwrap().clear();
    let batch = Batch::fifo("orders")
        .record(Record::json("x").group("a"))
        .record(Record::json(1).group("b"))
        .record(Record::json(2).group("a"));
    let outcome = batch.run_batch_with(consumer(), handle).await;
    assert_eq!(outcome.failed(), ["message-1", "message-3"]);
    assert_eq!(*seen.lock().unwrap(), [1]);
    // The handler is not called for a batch without a readable message.
    let batch = Batch::standard("orders").message("x");
    async fn never(_: Arc<Messages<u8>>) -> Result<(), Failure> {
        panic!("the handler was called");
    }
    let outcome = batch.run_batch(never).await;
    assert_eq!(error_types(&outcome), ["invalid_body"]);
}

#[tokio::test]
async fn the_rest_of_a_message_group_fails_with_its_first_failure() {
    let batch = Batch::fifo("orders")
        .record(Record::raw("a").group("a"))
        .record(Record::raw("fail").group("a"))
        .record(Record::raw("complete").group("a"))
        .record(Record::raw("complete").group("b"))
        .record(Record::raw("fail-later").group("a"));
    let outcome = run_records(batch, "").await;
    assert_eq!(outcome.failed(), ["message-2", "message-3", "message-5"]);
    let expected = ["none", "refused", "message_group_blocked", "none", "busy"];
    assert_eq!(error_types(&outcome), expected);
}

#[tokio::test]
async fn the_handler_runs_in_the_batch_span_and_can_work_in_the_span_of_a_message() {
    async fn handle(messages: Arc<Messages<String>>) -> Result<(), Failure> {
        let tracer = global::tracer("handler");
        tracer.in_span("write", |_| {});
        async { tracer.in_span("follow up", |_| {}) }
            .with_context(messages.context(1).clone())
            .await;
        Ok(())
    }
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let batch = Batch::standard("orders")
        .raw_message("a")
        .record(Record::raw("b").traceparent(traceparent));
    let outcome = batch.run_batch(handle).await;
    let span = |name| outcome.span(name).unwrap();
    let batch_span = outcome.batch_span().unwrap();
    let second = outcome.record_span("message-2").unwrap();
    assert!(span("write").is_child_of(batch_span));
    assert!(span("follow up").is_child_of(second));
    assert_eq!(second.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(second.links_to(batch_span));
}

#[tokio::test(start_paused = true)]
async fn without_time_left_the_handler_is_not_called() {
    let batch = Batch::standard("orders").raw_message("complete");
    let consumer = Consumer::builder()
        .state("panic")
        .drain_before_deadline(Duration::from_secs(5));
    let batch = batch.timeout(Duration::ZERO);
    let outcome = batch.run_batch_with(consumer, settle).await;
    assert_eq!(outcome.failed(), ["message-1"]);
    assert_eq!(error_types(&outcome), ["deadline_exceeded"]);
}

#[tokio::test]
async fn a_failure_whose_destructor_panics_fails_only_its_message() {
    #[derive(Debug, thiserror::Error)]
    #[error("bomb")]
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }

    async fn handle(messages: Arc<Messages<String>>) -> Result<(), Failure> {
        messages.fail(0, Bomb);
        Ok(())
    }

    let batch = Batch::standard("orders").raw_message("a").raw_message("b");
    let outcome = batch.run_batch(handle).await;
    assert_eq!(outcome.failed(), ["message-1"]);
    assert_eq!(error_types(&outcome), ["panic", "none"]);
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_decoded_slowly_leave_no_time_for_the_handler() {
    /// A body whose decoding takes a second of the paused clock.
    struct Slow;

    impl<'de> serde::Deserialize<'de> for Slow {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            serde::de::IgnoredAny::deserialize(deserializer)?;
            futures_util::future::FutureExt::now_or_never(tokio::time::advance(
                Duration::from_secs(1),
            ));
            Ok(Self)
        }
    }

    async fn handle(_: Arc<Messages<Slow>>) -> Result<(), Failure> {
        panic!("the handler was called");
    }

    let batch = (0..4).fold(Batch::standard("orders"), |batch, _| batch.message(0));
    let batch = batch.timeout(Duration::from_secs(3));
    let outcome = batch.run_batch(handle).await;
    assert_eq!(outcome.failed().len(), 4);
    assert_eq!(error_types(&outcome), ["deadline_exceeded"; 4]);
}

#[tokio::test]
async fn the_failure_of_the_handler_is_on_the_batch_span() {
    let outcome = run(&["complete"], "error").await;
    assert!(outcome.failed().is_empty());
    let span = outcome.batch_span().unwrap();
    assert_eq!(span.attributes["error.type"], "busy");
    assert_eq!(span.error.as_deref(), Some("the store is busy"));
}

#[tokio::test]
async fn a_failure_that_settles_when_it_is_dropped_does_not_block() {
    #[derive(Debug)]
    struct Settles(Arc<Messages<String>>);

    impl std::fmt::Display for Settles {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("settles")
        }
    }

    impl std::error::Error for Settles {}

    impl Drop for Settles {
        fn drop(&mut self) {
            self.0.complete(1);
        }
    }

    async fn handle(messages: Arc<Messages<String>>) -> Result<(), Failure> {
        messages.complete(0);
        messages.fail(0, Settles(Arc::clone(&messages)));
        Err(Failure::retry("busy", "not now"))
    }

    let batch = Batch::standard("orders").raw_message("a").raw_message("b");
    let outcome = batch.run_batch(handle).await;
    assert!(outcome.failed().is_empty());
}

#[cfg(feature = "dead-letter-queue")]
#[tokio::test]
async fn an_invalid_body_is_sent_to_the_dead_letter_queue_in_the_order_of_its_group() {
    async fn handle(messages: Arc<Messages<u8>>) -> Result<(), Failure> {
        for (position, message) in messages.iter().enumerate() {
            if message.body == 0 {
                messages.fail(position, Failure::retry("busy", "not now"));
            }
        }
        Ok(())
    }
    let batch = |first: u8| {
        Batch::fifo("orders")
            .dead_letter_queue("dead.fifo")
            .record(Record::json(first).group("a"))
            .record(Record::raw("invalid").group("a"))
            .record(Record::json(3).group("a"))
    };
    let outcome = batch(1).run_batch(handle).await;
    assert!(outcome.failed().is_empty());
    assert_eq!(outcome.dead_letters().len(), 1);
    let outcome = batch(0).run_batch(handle).await;
    assert_eq!(outcome.failed(), ["message-1", "message-2", "message-3"]);
    assert_eq!(outcome.dead_letters().len(), 0);
    assert_eq!(
        error_types(&outcome),
        ["busy", "invalid_body", "message_group_blocked"]
    );
}

#[cfg(feature = "dead-letter-queue")]
#[tokio::test]
async fn permanent_failures_are_sent_to_the_dead_letter_queue() {
    use crate::dead_letter::tests::endpoint::{Behaviour, Endpoint};
    use crate::dead_letter::tests::queue;

    let endpoint = Endpoint::start(Behaviour::Accept).await;
    let consumer = Consumer::builder()
        .state("")
        .classify(|_: &Busy| Class::retry("busy"))
        .dead_letter_queue(queue(&endpoint, "dead").await);
    let bodies = ["a", "fail", "complete", "fail-later", "fail"];
    let batch = bodies.iter().fold(Batch::fifo("orders"), |batch, body| {
        batch.record(Record::raw(*body).group("a"))
    });
    let outcome = batch.run_batch_with(consumer, settle).await;
    // The last message is redelivered after the fourth and therefore not sent.
    assert_eq!(outcome.failed(), ["message-4", "message-5"]);
    let sent = |id| &outcome.record_span(id).unwrap().attributes["baton.sqs.dead_letter_queue"];
    assert_eq!(sent("message-2"), "dead");
    assert!(sent("message-5").is_null());
}
