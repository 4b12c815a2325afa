//! The consumer with a dead-letter queue.

use baton_test_support::warnings::Warnings;

use super::endpoint::{Behaviour, Endpoint};
use super::queue;
use crate::testing::{Batch, Outcome, Record};
use crate::{Consumer, Failure, Message};

pub(super) async fn obey(message: Message<String>) -> Result<(), Failure> {
    match message.body.as_str() {
        body if body.starts_with("refuse") => Err(Failure::permanent("refused", "not wanted")),
        "retry" => Err(Failure::retry("busy", "not now")),
        "panic" => panic!("on purpose"),
        _ => Ok(()),
    }
}

async fn run(endpoint: &Endpoint, batch: Batch) -> Outcome {
    let queue = queue(endpoint, "dead").await;
    let consumer = Consumer::builder().dead_letter_queue(queue);
    batch.run_with(consumer, obey).await
}

pub(super) fn batch(bodies: &[&str]) -> Batch {
    let batch = Batch::standard("orders");
    bodies
        .iter()
        .fold(batch, |batch, body| batch.raw_message(*body))
}

/// Creates a FIFO batch with these groups and bodies.
pub(super) fn fifo_batch(records: &[(&str, &str)]) -> Batch {
    let batch = Batch::fifo("orders");
    records.iter().fold(batch, |batch, (group, body)| {
        batch.record(Record::raw(*body).group(*group))
    })
}

#[tokio::test]
async fn a_permanent_failure_is_sent_and_acknowledged_and_others_are_returned() {
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    let outcome = run(&endpoint, batch(&["ok", "refuse", "retry"])).await;
    assert_eq!(outcome.failed(), ["message-3"]);
    let requests = endpoint.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0]["MessageBody"], "refuse");
    let reason = &requests[0]["MessageAttributes"]["baton.error.type"]["StringValue"];
    assert_eq!(reason, "refused");
    let record = outcome.record_span("message-2").unwrap();
    assert_eq!(record.attributes["error.type"], "refused");
    assert_eq!(record.attributes["baton.sqs.dead_letter_queue"], "dead");
    let send = outcome.span("send dead").unwrap();
    assert!(send.is_child_of(record));
}

#[tokio::test]
async fn a_body_that_does_not_decode_is_sent_too() {
    async fn number(_: Message<u8>) -> Result<(), Failure> {
        Ok(())
    }
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    let consumer = Consumer::builder().dead_letter_queue(queue(&endpoint, "dead").await);
    let outcome = batch(&["no number"]).run_with(consumer, number).await;
    assert!(outcome.failed().is_empty());
    assert_eq!(endpoint.requests()[0]["MessageBody"], "no number");
}

#[tokio::test]
async fn a_message_that_cannot_be_sent_is_returned_as_failed() {
    let endpoint = Endpoint::start(Behaviour::Deny).await;
    let outcome = run(&endpoint, batch(&["refuse", "ok"])).await;
    assert_eq!(outcome.failed(), ["message-1"]);
    let record = outcome.record_span("message-1").unwrap();
    assert!(record.attributes["baton.sqs.dead_letter_queue"].is_null());
}

#[tokio::test]
async fn a_fifo_group_continues_after_a_message_that_was_sent() {
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    let batch = fifo_batch(&[("a", "refuse"), ("a", "ok"), ("a", "retry"), ("a", "ok")]);
    let outcome = run(&endpoint, batch).await;
    assert_eq!(outcome.failed(), ["message-3", "message-4"]);
    let second = outcome.record_span("message-2").unwrap();
    assert!(second.attributes["error.type"].is_null());
}

#[tokio::test]
async fn a_send_is_cancelled_at_the_deadline() {
    let endpoint = Endpoint::start(Behaviour::Hang).await;
    let batch = batch(&["refuse"]).timeout(std::time::Duration::from_secs(1));
    let outcome = run(&endpoint, batch).await;
    assert_eq!(outcome.failed(), ["message-1"]);
    let send = outcome.span("send dead").unwrap();
    assert_eq!(send.attributes["error.type"], "cancelled");
}

#[tokio::test]
async fn a_fifo_group_stops_at_a_message_that_cannot_be_sent() {
    let endpoint = Endpoint::start(Behaviour::DenyBody("refuse 1")).await;
    let batch = fifo_batch(&[
        ("a", "refuse 1"),
        ("b", "refuse 2"),
        ("a", "ok"),
        ("a", "refuse 3"),
        ("b", "ok"),
    ]);
    let outcome = run(&endpoint, batch).await;
    assert_eq!(outcome.failed(), ["message-1", "message-3", "message-4"]);
    let mut bodies = endpoint.bodies();
    bodies.sort();
    assert_eq!(bodies, ["refuse 1", "refuse 2"]);
    for blocked in ["message-3", "message-4"] {
        let span = outcome.record_span(blocked).unwrap();
        assert_eq!(span.attributes["error.type"], "message_group_blocked");
    }
}

#[tokio::test]
async fn a_panic_is_not_a_permanent_failure_and_is_not_sent() {
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    let outcome = run(&endpoint, batch(&["panic", "refuse"])).await;
    assert_eq!(outcome.failed(), ["message-1"]);
    assert_eq!(endpoint.bodies(), ["refuse"]);
    let record = outcome.record_span("message-1").unwrap();
    assert_eq!(record.attributes["error.type"], "panic");
}

#[tokio::test]
async fn a_message_from_the_dead_letter_queue_itself_is_not_sent() {
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    let warnings = Warnings::record();
    let own = Consumer::builder().dead_letter_queue(queue(&endpoint, "orders").await);
    for _ in 0..2 {
        let batch = batch(&["refuse", "ok", "refuse"]);
        let outcome = batch.run_with(own.clone(), obey).await;
        assert_eq!(outcome.failed(), ["message-1", "message-3"]);
        let record = outcome.record_span("message-1").unwrap();
        assert_eq!(record.attributes["error.type"], "refused");
    }
    assert_eq!(endpoint.bodies(), [""; 0]);
    let logged = warnings.containing("must name another queue");
    assert_eq!(logged.len(), 1, "{logged:?}");
    assert!(logged[0].contains("arn:aws:sqs:eu-central-1:000000000000:orders"));
    // Messages of another queue are sent.
    let batch = Batch::standard("others").raw_message("refuse");
    assert!(batch.run_with(own, obey).await.failed().is_empty());
}
