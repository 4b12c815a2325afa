//! What the consumer makes of a dead-letter queue.

use super::endpoint::{Behaviour, Endpoint};
use super::queue;
use crate::testing::{Batch, Outcome, Record};
use crate::{Consumer, Failure, Message};

async fn obey(message: Message<String>) -> Result<(), Failure> {
    match message.body.as_str() {
        "refuse" => Err(Failure::permanent("refused", "not wanted")),
        "retry" => Err(Failure::retry("busy", "not now")),
        _ => Ok(()),
    }
}

async fn run(endpoint: &Endpoint, batch: Batch) -> Outcome {
    let queue = queue(endpoint, "dead").await;
    let consumer = Consumer::builder().dead_letter_queue(queue);
    batch.run_with(consumer, obey).await
}

fn of(bodies: &[&str]) -> Batch {
    let batch = Batch::standard("orders");
    bodies
        .iter()
        .fold(batch, |batch, body| batch.raw_message(*body))
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
    let in_group = |body: &str| Record::raw(body).group("a");
    let batch = Batch::fifo("orders")
        .record(in_group("refuse"))
        .record(in_group("ok"))
        .record(in_group("retry"))
        .record(in_group("ok"));
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
