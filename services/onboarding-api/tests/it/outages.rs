use baton_test_support::{FakeSqs, SqsReply};
use opentelemetry::trace::Status;

use crate::support::spans::{attribute, traceparent};
use crate::support::{Api, client_that_builds_nothing};

const BUSY: SqsReply = SqsReply::Error(400, "RequestThrottled", "RequestThrottled");
const BROKEN: SqsReply = SqsReply::Error(500, "InternalError", "InternalError");
const NO_QUEUE: SqsReply = SqsReply::Error(
    400,
    "QueueDoesNotExist",
    "AWS.SimpleQueueService.NonExistentQueue",
);

#[tokio::test]
async fn a_fault_that_passes_is_not_seen_by_the_caller() {
    let api = Api::start().await;
    api.sqs.reply_with([BROKEN, BUSY]);
    assert_eq!(api.onboard(&[]).await.status, 202);
    let calls = api.sqs.calls();
    assert_eq!(calls.len(), 3);
    let parent = traceparent(&api.spans.one("send onboarding"));
    assert!(
        calls
            .iter()
            .all(|call| call.body["MessageAttributes"]["traceparent"]["StringValue"] == parent),
        "{calls:?}"
    );
    assert_eq!(api.spans.one("send onboarding").status, Status::Unset);
}

#[tokio::test]
async fn a_busy_queue_answers_503_and_when_to_come_back() {
    let api = Api::start().await;
    api.sqs.reply_with([BUSY; 3]);
    let answer = api.onboard(&[]).await;
    let problem = answer.problem(503);
    assert_eq!(answer.header("retry-after"), "1");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("RequestThrottled"),
        "{problem}"
    );
    assert_eq!(api.sqs.calls().len(), 3);
}

#[tokio::test]
async fn a_refusing_queue_answers_502_and_both_spans_say_why() {
    let api = Api::start().await;
    api.sqs.reply_with([NO_QUEUE]);
    let answer = api.onboard(&[]).await;
    answer.problem(502);
    assert_eq!(answer.header("retry-after"), "");
    assert_eq!(api.sqs.calls().len(), 1);
    let (server, send) = (
        api.spans.one("POST /onboarding"),
        api.spans.one("send onboarding"),
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
async fn a_call_that_cannot_be_built_is_our_fault_and_not_retryable() {
    let api = Api::with_client(client_that_builds_nothing).await;
    let answer = api.onboard(&[]).await;
    answer.problem(500);
    assert_eq!(answer.header("retry-after"), "");
    assert_eq!(
        attribute(&api.spans.one("send onboarding"), "error.type"),
        "unbuildable"
    );
}

#[tokio::test]
async fn an_sqs_that_says_nothing_is_a_timeout() {
    let api = Api::start().await;
    api.sqs.reply_with([SqsReply::Silence; 3]);
    api.onboard(&[]).await.problem(503);
    assert_eq!(
        attribute(&api.spans.one("send onboarding"), "error.type"),
        "timeout"
    );
}

#[tokio::test]
async fn an_acceptance_without_a_message_id_is_not_taken_for_one() {
    let api = Api::start().await;
    api.sqs.reply_with([SqsReply::NoMessageId]);
    api.onboard(&[]).await.problem(503);
    assert_eq!(
        attribute(&api.spans.one("send onboarding"), "error.type"),
        "invalid_response"
    );
}

#[tokio::test]
async fn readiness_follows_the_queue_and_health_does_not() {
    let api = Api::start().await;
    api.sqs.reply_with([NO_QUEUE]);
    api.get("/readyz").await.problem(503);
    assert_eq!(api.get("/readyz").await.status, 200);
    api.sqs.reply_with([SqsReply::Silence; 3]);
    api.get("/readyz").await.problem(503);
    assert_eq!(api.get("/healthz").await.status, 200);
}
