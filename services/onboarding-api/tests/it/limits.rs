use std::time::Duration;

use baton_test_support::SqsResponse;
use baton_test_support::span_recorder::attribute;
use onboarding_api::Limits;

use crate::support::{TestApi, TestConfig, VALID, client};

fn limits() -> Limits {
    TestConfig::default().limits
}

#[tokio::test]
async fn requests_beyond_the_maximum_get_503_and_health_checks_do_not_count() {
    let api = TestApi::with_limits(Limits {
        max_concurrent_requests: 1,
        ..limits()
    })
    .await;
    api.sqs.respond_with([SqsResponse::Held]);
    let json = &[client::JSON];
    let first = client::request(api.address, "POST", "/onboarding", json, VALID);
    let first = tokio::spawn(first);
    api.sqs.wait_for_call().await;
    let second = api.onboard(&[]).await;
    let problem = second.problem(503);
    assert_eq!(second.header("retry-after"), "1");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("too many requests"),
        "{problem}"
    );
    assert_eq!(api.get("/healthz").await.status, 200);
    api.sqs.release();
    assert_eq!(first.await.unwrap().status, 202);
    assert_eq!(api.onboard(&[]).await.status, 202);
}

#[tokio::test]
async fn a_request_over_the_time_limit_is_cancelled_and_its_message_may_have_been_sent() {
    let api = TestApi::with_limits(Limits {
        request_timeout: Duration::from_millis(50),
        ..limits()
    })
    .await;
    api.sqs.respond_with([SqsResponse::Hang]);
    let problem = api.onboard(&[]).await.problem(504);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("may have been sent"), "{detail}");
    let server = api.spans.find("POST /onboarding");
    assert_eq!(attribute(&server, "http.response.status_code"), "504");
    let send = api.spans.find("send onboarding");
    assert_eq!(attribute(&send, "error.type"), "cancelled");
}

#[tokio::test]
async fn a_head_that_is_too_large_gets_431() {
    let api = TestApi::start().await;
    let long = "a".repeat(65 * 1024);
    let many: String = (0..101).map(|n| format!("x-{n}: 1\r\n")).collect();
    for headers in [format!("x-long: {long}\r\n"), many] {
        let request = format!("GET /healthz HTTP/1.1\r\n{headers}\r\n");
        let connection = client::connect_and_send(api.address, &request).await;
        let response = client::read_head(connection).await;
        assert!(response.starts_with("HTTP/1.1 431 "), "{response}");
    }
    let fits = ("x-long", &*"a".repeat(31 * 1024));
    assert_eq!(api.onboard(&[fits]).await.status, 202);
}
