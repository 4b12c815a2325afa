use serde_json::{Value, json};

use super::*;
use crate::queue::BatchQueues;

mod request_id;

fn batch(ids: &[Value]) -> SqsBatch {
    let records: Vec<Value> = ids
        .iter()
        .map(|id| json!({"messageId": id, "eventSource": "aws:sqs"}))
        .collect();
    let event = json!({ "Records": records });
    SqsBatch::parse(serde_json::to_vec(&event).unwrap(), Arc::default()).unwrap()
}

fn response_with(
    batch: SqsBatch,
    failed: &[usize],
    config: &ConsumerConfig,
) -> Result<Value, String> {
    let processed = ProcessedBatch {
        queues: BatchQueues::from_batch(&batch),
        batch: Arc::new(batch),
        failed: failed.to_vec(),
        context: opentelemetry::Context::new(),
    };
    build_response(&processed, config)
        .map(|response| serde_json::to_value(response).unwrap())
        .map_err(|error| error.to_string())
}

fn response(ids: &[Value], failed: &[usize], partial: PartialResponse) -> Result<Value, String> {
    let config = ConsumerConfig {
        partial_response: partial,
        ..ConsumerConfig::default()
    };
    response_with(batch(ids), failed, &config)
}

#[test]
fn only_failed_messages_are_listed() {
    let ids = [json!("a"), json!("b"), json!("c")];
    assert_eq!(
        response(&ids, &[1], PartialResponse::On),
        Ok(json!({"batchItemFailures": [{"itemIdentifier": "b"}]}))
    );
    assert_eq!(
        response(&ids, &[], PartialResponse::On),
        Ok(json!({"batchItemFailures": []}))
    );
}

#[test]
fn a_failure_without_an_id_fails_the_batch() {
    for id in [Value::Null, json!("")] {
        let ids = [json!("a"), id];
        let error = response(&ids, &[0, 1], PartialResponse::On).unwrap_err();
        assert_eq!(error, "Records[1] failed and has no messageId");
        // A message without an id that did not fail is deleted like the others.
        assert!(response(&ids, &[0], PartialResponse::On).is_ok());
    }
}

#[test]
fn without_partial_responses_one_failure_fails_the_invocation() {
    let ids = [json!("a"), json!("b")];
    let error = response(&ids, &[0], PartialResponse::Off).unwrap_err();
    assert_eq!(error, "1 of 2 messages failed");
    assert!(response(&ids, &[], PartialResponse::Off).is_ok());
}

#[test]
fn a_message_that_is_in_the_batch_twice_is_listed_once() {
    let ids = [json!("a"), json!("a"), json!("b")];
    assert_eq!(
        response(&ids, &[0, 1, 2], PartialResponse::On),
        Ok(json!({"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "b"}]}))
    );
}

#[test]
fn the_invocation_fails_if_all_messages_failed_and_that_is_configured() {
    let config = ConsumerConfig {
        all_failed: AllFailed::FailInvocation,
        ..ConsumerConfig::default()
    };
    let error = response_with(batch(&[json!("a"), json!("b")]), &[0, 1], &config).unwrap_err();
    assert_eq!(error, "2 of 2 messages failed");
    assert!(response_with(batch(&[json!("a"), json!("b")]), &[1], &config).is_ok());
    // In an empty batch, no message has failed.
    assert!(response_with(batch(&[]), &[], &config).is_ok());
}

#[test]
fn neither_a_restart_nor_a_restored_snapshot_has_an_init_duration() {
    assert!(init_duration(false, false).is_some());
    assert_eq!(init_duration(true, false), None);
    assert_eq!(init_duration(false, true), None);
}
