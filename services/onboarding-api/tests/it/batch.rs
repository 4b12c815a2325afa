use baton_test_support::{FakeSqs, SqsResponse};
use serde_json::Value;

use crate::support::{TestApi, VALID};

const THROTTLED: SqsResponse = SqsResponse::Error(400, "RequestThrottled", "RequestThrottled");

/// Returns a batch of these items.
fn batch(items: &[&str]) -> String {
    format!("[{}]", items.join(","))
}

fn statuses(body: &Value) -> Vec<u64> {
    let results = body["results"].as_array().unwrap().iter();
    results
        .map(|result| result["status"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn a_batch_of_valid_items_is_accepted_with_the_id_of_each_message() {
    let api = TestApi::start().await;
    let items = vec![VALID; 100];
    let response = api.post_json("/onboarding/batch", &batch(&items)).await;
    assert_eq!(response.status, 202);
    let body = response.json();
    let span = api.spans.find("POST /onboarding/batch");
    assert_eq!(body["trace_id"], span.span_context.trace_id().to_string());
    assert_eq!(body["results"].as_array().unwrap().len(), 100);
    assert_eq!(statuses(&body), [202; 100]);
    assert_eq!(body["results"][0]["message_id"], FakeSqs::MESSAGE_ID);
    assert_eq!(api.sqs.accepted().len(), 100);
    // Ten calls, unless preparing the messages takes longer than the linger.
    assert!(api.sqs.calls().len() < 50);
}

#[tokio::test]
async fn an_invalid_item_does_not_stop_the_others() {
    let api = TestApi::start().await;
    let twice = VALID.replace("\"plan\"", "\"plan\":\"team\",\"plan\"");
    let items = ["7", VALID, r#"{"email":7}"#, &twice, VALID];
    let response = api.post_json("/onboarding/batch", &batch(&items)).await;
    assert_eq!(response.status, 207);
    assert_eq!(response.header("retry-after"), "");
    let body = response.json();
    assert_eq!(statuses(&body), [422, 202, 422, 422, 202]);
    assert_eq!(body["results"][0]["problem"]["errors"][0]["pointer"], "#");
    assert_eq!(
        body["results"][3]["problem"]["errors"][0]["pointer"],
        "#/plan"
    );
    assert!(body["results"][3].get("message_id").is_none());
    assert_eq!(api.sqs.accepted().len(), 2);
}

#[tokio::test]
async fn items_that_the_queue_does_not_accept_may_be_retried() {
    let api = TestApi::start().await;
    api.sqs.respond_with([THROTTLED; 100]);
    let response = api
        .post_json("/onboarding/batch", &batch(&[VALID, VALID]))
        .await;
    assert_eq!(response.status, 207);
    assert_eq!(response.header("retry-after"), "1");
    assert_eq!(statuses(&response.json()), [503, 503]);
}

#[tokio::test]
async fn a_body_without_a_valid_number_of_items_is_rejected_as_a_whole() {
    let api = TestApi::start().await;
    for body in ["[]", VALID, &batch(&vec![VALID; 101])] {
        let problem = api.post_json("/onboarding/batch", body).await.problem(422);
        let detail = &problem["errors"][0]["detail"];
        assert_eq!(detail, "must be a JSON array of 1 to 100 onboardings");
    }
    api.post_json("/onboarding/batch", "[").await.problem(400);
    assert!(api.sqs.calls().is_empty());
}
