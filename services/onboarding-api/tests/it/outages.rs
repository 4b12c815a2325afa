use std::time::Duration;

use baton_test_support::span_recorder::{attribute, traceparent};
use baton_test_support::{FakeSqs, SqsResponse};
use opentelemetry::trace::Status;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::support::{TestApi, TestConfig, client, client_that_fails_to_build};

const THROTTLED: SqsResponse = SqsResponse::Error(400, "RequestThrottled", "RequestThrottled");
const INTERNAL_ERROR: SqsResponse = SqsResponse::Error(500, "InternalError", "InternalError");
const NO_QUEUE: SqsResponse = SqsResponse::Error(
    400,
    "QueueDoesNotExist",
    "AWS.SimpleQueueService.NonExistentQueue",
);

#[tokio::test]
async fn temporary_errors_are_retried() {
    let api = TestApi::start().await;
    api.sqs.respond_with([INTERNAL_ERROR, THROTTLED]);
    assert_eq!(api.onboard(&[]).await.status, 202);
    let calls = api.sqs.calls();
    assert_eq!(calls.len(), 3);
    let parent = traceparent(&api.spans.find("send onboarding"));
    assert!(
        calls.iter().all(
            |call| call.message()["MessageAttributes"]["traceparent"]["StringValue"] == parent
        ),
        "{calls:?}"
    );
    assert_eq!(api.spans.find("send onboarding").status, Status::Unset);
}

#[tokio::test]
async fn a_throttled_send_gets_503_and_retry_after() {
    let api = TestApi::start().await;
    api.sqs.respond_with([THROTTLED; 100]);
    let response = api.onboard(&[]).await;
    let problem = response.problem(503);
    assert_eq!(response.header("retry-after"), "1");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("RequestThrottled"),
        "{problem}"
    );
    assert!(api.sqs.calls().len() > 2);
}

#[tokio::test]
async fn a_rejected_send_gets_502_and_both_spans_have_the_error() {
    let api = TestApi::start().await;
    api.sqs.respond_with([NO_QUEUE]);
    let response = api.onboard(&[]).await;
    response.problem(502);
    assert_eq!(response.header("retry-after"), "");
    assert_eq!(api.sqs.calls().len(), 1);
    let (server, send) = (
        api.spans.find("POST /onboarding"),
        api.spans.find("send onboarding"),
    );
    assert_eq!(
        attribute(&send, "error.type"),
        "AWS.SimpleQueueService.NonExistentQueue"
    );
    assert_eq!(attribute(&send, "aws.request_id"), FakeSqs::REQUEST_ID);
    assert_eq!(
        (
            attribute(&server, "error.type"),
            attribute(&server, "http.response.status_code")
        ),
        ("502".into(), "502".into())
    );
    assert!(matches!(
        (server.status, send.status),
        (Status::Error { .. }, Status::Error { .. })
    ));
}

#[tokio::test]
async fn a_call_that_cannot_be_built_is_an_internal_error() {
    let config = TestConfig {
        client: client_that_fails_to_build,
        ..TestConfig::default()
    };
    let api = TestApi::with_config(config).await;
    let response = api.onboard(&[]).await;
    response.problem(500);
    assert_eq!(response.header("retry-after"), "");
    assert_eq!(
        attribute(&api.spans.find("send onboarding"), "error.type"),
        "unbuildable"
    );
}

#[tokio::test]
async fn a_queue_that_does_not_respond_is_a_timeout() {
    let api = TestApi::start().await;
    api.sqs.respond_with([SqsResponse::Hang; 3]);
    let problem = api.onboard(&[]).await.problem(503);
    assert_may_have_been_sent(&problem);
    assert_eq!(
        attribute(&api.spans.find("send onboarding"), "error.type"),
        "timeout"
    );
}

#[tokio::test]
async fn a_response_without_a_message_id_is_not_a_success() {
    let api = TestApi::start().await;
    api.sqs.respond_with([SqsResponse::NoMessageId]);
    let problem = api.onboard(&[]).await.problem(503);
    assert_may_have_been_sent(&problem);
    assert_eq!(
        attribute(&api.spans.find("send onboarding"), "error.type"),
        "invalid_response"
    );
}

fn assert_may_have_been_sent(problem: &Value) {
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("may have been sent"), "{detail}");
}

#[tokio::test]
async fn readiness_depends_on_the_queue_and_health_does_not() {
    let api = TestApi::start().await;
    api.sqs.respond_with([NO_QUEUE]);
    let problem = api.get("/readyz").await.problem(503);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("NonExistentQueue"), "{detail}");
    wait_for_readiness(&api, 200).await;
    api.sqs.respond_with([SqsResponse::Hang; 3]);
    wait_for_readiness(&api, 503).await;
    assert_eq!(api.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn readiness_checks_within_a_second_are_one_call() {
    let api = TestApi::start().await;
    api.sqs.respond_with([SqsResponse::Held]);
    let address = api.address;
    let abandoned = tokio::spawn(client::request(address, "GET", "/readyz", &[], ""));
    api.sqs.wait_for_call().await;
    abandoned.abort();
    let mut checks = JoinSet::new();
    for _ in 0..50 {
        checks.spawn(client::request(address, "GET", "/readyz", &[], ""));
    }
    // A response to a later request shows that the checks wait for SQS.
    assert_eq!(api.get("/healthz").await.status, 200);
    api.sqs.release();
    for response in checks.join_all().await {
        assert_eq!(response.status, 200);
    }
    assert_eq!(api.get("/readyz").await.status, 200);
    assert_eq!(api.sqs.calls().len(), 1);
}

/// Waits until the result of the last readiness check has expired and the next one has this status.
async fn wait_for_readiness(api: &TestApi, status: u16) {
    for _ in 0..300 {
        if api.get("/readyz").await.status == status {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the readiness check did not return {status}");
}
