use std::time::Duration;

use baton_test_support::warnings::Warnings;
use baton_test_support::{FakeSqs, SqsResponse};
use onboarding_api::Limits;
use serde_json::Value;

use crate::support::{TestApi, TestConfig, VALID, client};

const THROTTLED: SqsResponse = SqsResponse::Error(400, "RequestThrottled", "RequestThrottled");

/// Returns a batch of these items.
fn batch(items: &[&str]) -> String {
    format!("[{}]", items.join(","))
}

/// Starts an API whose requests time out before a message that gets no response.
async fn start_with_short_requests() -> TestApi {
    TestApi::with_limits(Limits {
        request_timeout: Duration::from_millis(900),
        ..TestConfig::default().limits
    })
    .await
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
    if cfg!(feature = "gather") {
        // Ten calls, unless preparing the messages takes longer than the linger.
        assert!(api.sqs.calls().len() < 50);
    }
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
async fn a_batch_over_the_time_limit_reports_the_items_that_were_accepted() {
    let api = start_with_short_requests().await;
    api.sqs.respond_with([SqsResponse::Accept]);
    api.sqs.respond_always(Some(SqsResponse::Hang));
    let items = vec![VALID; 20];
    let response = api.post_json("/onboarding/batch", &batch(&items)).await;
    assert_eq!(response.status, 207);
    let body = response.json();
    let results = body["results"].as_array().unwrap();
    let is_accepted = |result: &&Value| result["status"] == 202;
    let (accepted, timed_out): (Vec<_>, Vec<_>) = results.iter().partition(is_accepted);
    assert!(!accepted.is_empty());
    assert_eq!(accepted.len(), api.sqs.accepted().len());
    assert_eq!(accepted.len() + timed_out.len(), items.len());
    for result in timed_out {
        assert_eq!(result["status"], 504);
        let detail = result["problem"]["detail"].as_str().unwrap();
        assert!(detail.contains("may have been sent"), "{detail}");
    }
}

#[tokio::test]
async fn the_items_of_a_batch_over_the_time_limit_are_logged() {
    let warnings = Warnings::record();
    let api = start_with_short_requests().await;
    api.sqs.respond_always(Some(SqsResponse::Hang));
    let response = api
        .post_json("/onboarding/batch", &batch(&[VALID; 3]))
        .await;
    assert_eq!(statuses(&response.json()), [504; 3]);
    // Writes the counts of the warnings that were not logged one by one.
    api.shut_down().await;
    let logged = warnings.containing("request_timeout");
    let counts = logged.iter().map(|line| {
        let (_, count) = line.split_once("count=").unwrap();
        count.trim_end().parse::<u64>().unwrap()
    });
    assert_eq!(counts.sum::<u64>(), 3, "{logged:?}");
}

#[tokio::test]
async fn a_body_that_leaves_no_time_for_the_sends_is_rejected() {
    let api = TestApi::with_limits(Limits {
        request_timeout: Duration::from_millis(400),
        ..TestConfig::default().limits
    })
    .await;
    let request = client::onboarding_request(VALID, 5);
    let connection = client::connect_and_send(api.address, &request).await;
    let head = client::read_head(connection).await;
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    assert!(api.sqs.calls().is_empty());
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
