use super::*;
use serde_json::{Value, json};

fn batch(ids: &[Value]) -> Batch {
    let records: Vec<Value> = ids
        .iter()
        .map(|id| json!({"messageId": id, "eventSource": "aws:sqs"}))
        .collect();
    let event = json!({ "Records": records });
    Batch::parse(serde_json::value::to_raw_value(&event).unwrap()).unwrap()
}

fn response(batch: &Batch, failed: &[usize], partial: PartialResponse) -> Result<Value, String> {
    respond(batch, failed, partial)
        .map(|response| serde_json::to_value(response).unwrap())
        .map_err(|error| error.to_string())
}

#[test]
fn failed_messages_are_named_and_no_others() {
    let batch = batch(&[json!("a"), json!("b"), json!("c")]);
    assert_eq!(
        response(&batch, &[1], PartialResponse::On),
        Ok(json!({"batchItemFailures": [{"itemIdentifier": "b"}]}))
    );
    assert_eq!(
        response(&batch, &[], PartialResponse::On),
        Ok(json!({"batchItemFailures": []}))
    );
}

#[test]
fn a_failure_that_cannot_be_named_fails_the_batch_and_never_becomes_an_empty_identifier() {
    for id in [Value::Null, json!("")] {
        let batch = batch(&[json!("a"), id]);
        let error = response(&batch, &[0, 1], PartialResponse::On).unwrap_err();
        assert_eq!(
            error,
            "Records[1] failed and has no messageId to report it by"
        );
        // Where it did not fail, it may be deleted like the others.
        assert!(response(&batch, &[0], PartialResponse::On).is_ok());
    }
}

#[test]
fn without_partial_responses_one_failure_fails_all() {
    let batch = batch(&[json!("a"), json!("b")]);
    let error = response(&batch, &[0], PartialResponse::Off).unwrap_err();
    assert_eq!(
        error,
        "1 of 2 messages failed, and partial responses are off"
    );
    assert!(response(&batch, &[], PartialResponse::Off).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_flush_ends_with_its_budget_or_in_time_for_the_response() {
    let lambda = |left: Duration| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let mut lambda = LambdaContext::default();
        lambda.deadline = u64::try_from((now + left).as_millis()).unwrap();
        lambda
    };
    let budget = Duration::from_secs(1);
    let left = |left| flush_deadline(&lambda(left), budget) - Instant::now();
    assert_eq!(left(Duration::from_secs(30)), budget);
    assert!(left(Duration::from_millis(600)) <= Duration::from_millis(500));
    assert_eq!(left(Duration::from_millis(50)), Duration::ZERO);
}
