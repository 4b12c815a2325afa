use std::time::Duration;

use baton_test_support::span_recorder::attribute;
use baton_test_support::{FakeSqs, SqsResponse};
use onboarding_api::Limits;
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::process::ApiProcess;
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
        request_timeout: Duration::from_millis(400),
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

#[tokio::test]
async fn thousands_of_idle_connections_do_not_block_new_ones() {
    let count = idle_connections();
    let limits = Limits {
        max_connections: count / 5,
        ..limits()
    };
    let api = TestApi::with_limits(limits).await;
    let half_a_request = client::onboarding_request(VALID, 5);
    let mut idle = Vec::with_capacity(count);
    for number in 0..count {
        let text = ["", "GET /he", &half_a_request][number % 3];
        idle.push(client::connect_and_send(api.address, text).await);
        if number % 500 == 0 {
            assert_eq!(api.get("/healthz").await.status, 200);
        }
    }
    assert_eq!(api.onboard(&[]).await.status, 202);
    assert!(is_closed(&mut idle[0]).await);
    assert!(!is_closed(&mut idle[count - 1]).await);
}

#[tokio::test]
async fn a_connection_whose_request_was_received_is_not_closed() {
    let limits = Limits {
        max_connections: 8,
        ..limits()
    };
    let api = TestApi::with_limits(limits).await;
    api.sqs.respond_with([SqsResponse::Held]);
    let json = &[client::JSON];
    let waiting = client::request(api.address, "POST", "/onboarding", json, VALID);
    let waiting = tokio::spawn(waiting);
    api.sqs.wait_for_call().await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(client::connect_and_send(api.address, "").await);
    }
    assert_eq!(api.get("/healthz").await.status, 200);
    assert!(is_closed(&mut idle[0]).await);
    api.sqs.release();
    assert_eq!(waiting.await.unwrap().status, 202);
}

#[tokio::test]
async fn the_connections_of_the_peer_with_the_most_are_closed() {
    let limits = Limits {
        max_connections: 8,
        ..limits()
    };
    let api = TestApi::with_limits(limits).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut oldest = socket.connect(api.address).await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(client::connect_and_send(api.address, "").await);
    }
    assert_eq!(api.get("/healthz").await.status, 200);
    assert!(!is_closed(&mut oldest).await);
    assert!(is_closed(&mut idle[0]).await);
}

#[tokio::test]
async fn fewer_descriptors_than_connections_are_a_warning_and_do_not_block_new_ones() {
    let sqs = FakeSqs::start().await.unwrap();
    let process = ApiProcess::start_with_descriptors(&sqs, 128).await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(client::connect_and_send(process.address, "").await);
    }
    let health = client::request(process.address, "GET", "/healthz", &[], "").await;
    assert_eq!(health.status, 200);
    process.terminate().await;
    let log = process.into_log().await;
    let warning = "MAX_CONNECTIONS reduced: too few file descriptors";
    let warning = log.iter().find(|line| line["message"] == warning);
    assert_eq!(warning.unwrap()["max_connections"], 64, "{log:?}");
}

/// Returns 5000, or fewer if this process may open fewer than 10,000 file descriptors: the server's
/// connections need some too.
fn idle_connections() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap());
    5000.min(limit / 2)
}

/// Returns `true` if the server closes the connection, and `false` if it responds to a health
/// check.
async fn is_closed(connection: &mut TcpStream) -> bool {
    let request = "GET /healthz HTTP/1.1\r\nhost: api.example.com\r\n\r\n";
    let sent = connection.write_all(request.as_bytes()).await;
    sent.is_err()
        || connection
            .read(&mut [0; 64])
            .await
            .is_ok_and(|length| length == 0)
}
