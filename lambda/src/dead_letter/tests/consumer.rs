//! What the consumer makes of a dead-letter queue.

use super::endpoint::{Behaviour, Endpoint};
use super::queue;
use super::warnings::Warnings;
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

pub(super) fn of(bodies: &[&str]) -> Batch {
    let batch = Batch::standard("orders");
    bodies
        .iter()
        .fold(batch, |batch, body| batch.raw_message(*body))
}

/// A FIFO batch of these groups and bodies.
pub(super) fn of_groups(records: &[(&str, &str)]) -> Batch {
    let batch = Batch::fifo("orders");
    records.iter().fold(batch, |batch, (group, body)| {
        batch.record(Record::raw(*body).group(*group))
    })
}

#[tokio::test]
async fn a_permanent_failure_is_moved_and_done_and_others_are_returned() {
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    let outcome = run(&endpoint, of(&["ok", "refuse", "retry"])).await;
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
async fn a_body_that_does_not_decode_is_moved_as_well() {
    async fn number(_: Message<u8>) -> Result<(), Failure> {
        Ok(())
    }
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    let consumer = Consumer::builder().dead_letter_queue(queue(&endpoint, "dead").await);
    let outcome = of(&["no number"]).run_with(consumer, number).await;
    assert!(outcome.failed().is_empty());
    assert_eq!(endpoint.requests()[0]["MessageBody"], "no number");
}

#[tokio::test]
async fn a_message_that_cannot_be_moved_is_delivered_again() {
    let endpoint = Endpoint::start(Behaviour::Deny).await;
    let outcome = run(&endpoint, of(&["refuse", "ok"])).await;
    assert_eq!(outcome.failed(), ["message-1"]);
    let record = outcome.record_span("message-1").unwrap();
    assert!(record.attributes["baton.sqs.dead_letter_queue"].is_null());
}

#[tokio::test]
async fn a_fifo_group_goes_on_after_a_message_that_was_moved() {
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    let batch = of_groups(&[("a", "refuse"), ("a", "ok"), ("a", "retry"), ("a", "ok")]);
    let outcome = run(&endpoint, batch).await;
    assert_eq!(outcome.failed(), ["message-3", "message-4"]);
    let second = outcome.record_span("message-2").unwrap();
    assert!(second.attributes["error.type"].is_null());
}

#[tokio::test]
async fn a_send_that_does_not_end_in_time_is_given_up() {
    let endpoint = Endpoint::start(Behaviour::Hang).await;
    let batch = of(&["refuse"]).timeout(std::time::Duration::from_secs(1));
    let outcome = run(&endpoint, batch).await;
    assert_eq!(outcome.failed(), ["message-1"]);
    let send = outcome.span("send dead").unwrap();
    assert_eq!(send.attributes["error.type"], "cancelled");
}

#[tokio::test]
async fn a_fifo_group_ends_at_a_message_that_cannot_be_moved() {
    let endpoint = Endpoint::start(Behaviour::DenyBody("refuse 1")).await;
    let batch = of_groups(&[
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
async fn a_panic_is_no_permanent_failure_and_is_not_moved() {
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    let outcome = run(&endpoint, of(&["panic", "refuse"])).await;
    assert_eq!(outcome.failed(), ["message-1"]);
    assert_eq!(endpoint.bodies(), ["refuse"]);
    let record = outcome.record_span("message-1").unwrap();
    assert_eq!(record.attributes["error.type"], "panic");
}

#[tokio::test]
async fn a_message_from_the_dead_letter_queue_itself_stays_there() {
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    let warnings = Warnings::default();
    let _subscriber = tracing::subscriber::set_default(warnings.clone());
    let own = Consumer::builder().dead_letter_queue(queue(&endpoint, "orders").await);
    for _ in 0..2 {
        let batch = of(&["refuse", "ok", "refuse"]);
        let outcome = batch.run_with(own.clone(), obey).await;
        assert_eq!(outcome.failed(), ["message-1", "message-3"]);
        let record = outcome.record_span("message-1").unwrap();
        assert_eq!(record.attributes["error.type"], "refused");
    }
    assert_eq!(endpoint.bodies(), [""; 0]);
    let said = warnings.of("must name another queue");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("arn:aws:sqs:eu-central-1:000000000000:orders"));
    // Those of another queue are moved all the same.
    let batch = Batch::standard("others").raw_message("refuse");
    assert!(batch.run_with(own, obey).await.failed().is_empty());
}
