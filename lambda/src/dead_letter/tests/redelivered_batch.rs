//! Batches that SQS redelivers as a whole if one message has failed.

use super::consumer::{batch, fifo_batch, obey};
use super::endpoint::{Behaviour, Endpoint};
use super::queue;
use crate::testing::{Batch, Outcome, Record};
use crate::{Consumer, PartialResponse};

async fn run(endpoint: &Endpoint, batch: Batch) -> Outcome {
    let consumer = Consumer::builder()
        .dead_letter_queue(queue(endpoint, "dead").await)
        .partial_response(PartialResponse::Off);
    batch.run_with(consumer, obey).await
}

#[tokio::test]
async fn permanent_failures_are_sent_if_nothing_else_has_failed() {
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    let outcome = run(&endpoint, batch(&["refuse", "ok", "refuse"])).await;
    assert!(outcome.response().is_ok());
    assert_eq!(endpoint.bodies(), ["refuse", "refuse"]);
    for id in ["message-1", "message-3"] {
        let record = outcome.record_span(id).unwrap();
        assert_eq!(record.attributes["error.type"], "refused");
        assert_eq!(record.attributes["baton.sqs.dead_letter_queue"], "dead");
        assert_eq!(outcome.children_of(record).count(), 1);
    }
}

#[tokio::test]
async fn no_delivery_sends_a_message_that_is_redelivered() {
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    for _ in 0..3 {
        let outcome = run(&endpoint, batch(&["refuse", "retry"])).await;
        assert_eq!(outcome.response(), Err("2 of 2 messages failed"));
        let record = outcome.record_span("message-1").unwrap();
        assert!(record.attributes["baton.sqs.dead_letter_queue"].is_null());
    }
    assert_eq!(endpoint.bodies(), [""; 0]);
}

#[tokio::test]
async fn after_a_send_that_failed_no_further_one_is_started() {
    let endpoint = Endpoint::start(Behaviour::Deny).await;
    let consumer = Consumer::builder()
        .dead_letter_queue(queue(&endpoint, "dead").await)
        .partial_response(PartialResponse::Off)
        .concurrency(std::num::NonZeroUsize::MIN);
    let batch = batch(&["refuse", "ok", "refuse"]);
    let outcome = batch.run_with(consumer, obey).await;
    assert_eq!(outcome.response(), Err("2 of 3 messages failed"));
    assert_eq!(endpoint.bodies(), ["refuse"]);
    assert!(outcome.record_span("message-3").is_some());
}

#[tokio::test]
async fn a_fifo_group_continues_and_is_sent_in_its_order() {
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    let groups = [
        ("a", "refuse 1"),
        ("a", "ok"),
        ("a", "refuse 2"),
        ("a", "refuse 3"),
    ];
    let outcome = run(&endpoint, fifo_batch(&groups)).await;
    assert!(outcome.response().is_ok());
    assert_eq!(endpoint.bodies(), ["refuse 1", "refuse 2", "refuse 3"]);
    let second = outcome.record_span("message-2").unwrap();
    assert!(second.attributes["error.type"].is_null());
}

#[tokio::test]
async fn a_fifo_group_is_not_sent_past_a_message_that_cannot_be_sent() {
    let endpoint = Endpoint::start(Behaviour::DenyBody("refuse 2")).await;
    let groups = [("a", "refuse 1"), ("a", "refuse 2"), ("a", "refuse 3")];
    let outcome = run(&endpoint, fifo_batch(&groups)).await;
    assert_eq!(outcome.response(), Err("2 of 3 messages failed"));
    assert_eq!(endpoint.bodies(), ["refuse 1", "refuse 2"]);
}

#[tokio::test]
async fn with_a_message_without_an_id_the_others_are_not_sent_before_the_batch_is_done() {
    let endpoint = Endpoint::start(Behaviour::Accept).await;
    let consumer = Consumer::builder().dead_letter_queue(queue(&endpoint, "dead").await);
    let batch = batch(&["refuse"]).record(Record::raw("retry").id(""));
    let outcome = batch.run_with(consumer, obey).await;
    assert!(outcome.response().unwrap_err().contains("no messageId"));
    assert_eq!(endpoint.bodies(), [""; 0]);
}
