use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use baton_test_support::FakeSqs;
use onboarding_api::DrainOutcome;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::support::client::KeptConnection;
use crate::support::process::ApiProcess;
use crate::support::{TestApi, TestConfig};

/// Longer than the requests of a test take.
const GRACE_PERIOD: Duration = Duration::from_secs(2);

async fn start() -> TestApi {
    let config = TestConfig {
        grace_period: GRACE_PERIOD,
        ..TestConfig::default()
    };
    TestApi::with_config(config).await
}

/// Waits until the readiness check fails.
async fn wait_until_not_ready(address: SocketAddr) {
    for _ in 0..100 {
        let mut connection = KeptConnection::open(address).await;
        if connection.get("/readyz").await.unwrap().status == 503 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the service is still ready");
}

#[tokio::test]
async fn new_and_kept_connections_get_responses_and_are_then_closed() {
    let api = start().await;
    // The fake SQS stops with its last clone.
    let (address, _sqs) = (api.address, api.sqs.clone());
    let mut kept = KeptConnection::open(address).await;
    let before = kept.onboard("c-1").await.unwrap();
    assert_eq!(
        (before.status.as_u16(), before.header("connection")),
        (202, "")
    );
    let server = api.start_shutdown();
    wait_until_not_ready(address).await;
    let mut opened = KeptConnection::open(address).await;
    for connection in [&mut kept, &mut opened] {
        let response = connection.onboard("c-2").await.unwrap();
        assert_eq!(response.status, 202);
        assert_eq!(response.header("connection"), "close");
        assert!(connection.onboard("c-3").await.is_none());
    }
    assert_eq!(server.await.unwrap(), DrainOutcome::Complete);
}

#[tokio::test]
async fn the_failed_readiness_check_states_the_shutdown() {
    let api = start().await;
    let address = api.address;
    let server = api.start_shutdown();
    wait_until_not_ready(address).await;
    let mut connection = KeptConnection::open(address).await;
    let response = connection.get("/readyz").await.unwrap();
    let problem = response.problem(503);
    assert_eq!(problem["detail"], "the service is shutting down");
    assert_eq!(connection_status(address, "/healthz").await, 200);
    server.abort();
}

async fn connection_status(address: SocketAddr, path: &str) -> u16 {
    let mut connection = KeptConnection::open(address).await;
    connection.get(path).await.unwrap().status.as_u16()
}

/// Sends onboardings on one connection until a response announces that it is closed. Returns the
/// customer ids of the accepted ones.
async fn onboard_until_closed(address: SocketAddr, client: usize) -> Vec<String> {
    let mut connection = KeptConnection::open(address).await;
    let mut accepted = Vec::new();
    loop {
        let customer = format!("c-{client}-{}", accepted.len());
        let response = connection.onboard(&customer).await;
        let response = response.expect("the connection is not reset");
        assert_eq!(response.status, 202);
        accepted.push(customer);
        if response.header("connection") == "close" {
            return accepted;
        }
    }
}

/// Stops a process under load, and checks that no connection is reset and no accepted message lost.
async fn stop_under_load(response_time: Duration) {
    const CLIENTS: usize = 16;
    let sqs = FakeSqs::start().await.unwrap();
    sqs.delay_responses(response_time);
    let variables = [
        ("OTEL_TRACES_EXPORTER", "none"),
        ("SHUTDOWN_GRACE_PERIOD", "1"),
    ];
    let process = ApiProcess::start(&sqs, &variables).await;
    let (address, terminate) = (process.address, process.terminate());
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(onboard_until_closed(address, client));
    }
    while sqs.accepted().len() < 10 * CLIENTS {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    terminate.await;
    let accepted: Vec<String> = clients.join_all().await.concat();
    let log = process.into_log().await;
    assert!(
        log.iter().any(|line| line["message"] == "stopped"),
        "{log:?}"
    );
    let sent: HashSet<String> = sqs.accepted().iter().map(customer_id).collect();
    let lost: Vec<_> = accepted.iter().filter(|id| !sent.contains(*id)).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kept_connection_under_load_is_reset_and_no_accepted_message_is_lost() {
    const ROUNDS: usize = 5;
    for _ in 0..ROUNDS {
        let mut stops = JoinSet::new();
        for response_time in [0, 0, 50, 50] {
            stops.spawn(stop_under_load(Duration::from_millis(response_time)));
        }
        stops.join_all().await;
    }
}

fn customer_id(message: &Value) -> String {
    let message: Value = serde_json::from_str(message["MessageBody"].as_str().unwrap()).unwrap();
    message["customer_id"].as_str().unwrap().to_owned()
}
