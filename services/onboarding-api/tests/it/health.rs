use std::process::Output;

use baton_test_support::FakeSqs;
use tokio::net::TcpListener;

use crate::support::process::{self, ApiProcess};

/// Runs a health check with these arguments and this `LISTEN_ADDR`.
async fn check(listen_addr: &str, arguments: &[&str]) -> Output {
    let mut command = process::command();
    command.env("LISTEN_ADDR", listen_addr).arg("health");
    command.args(arguments).output().await.unwrap()
}

#[track_caller]
fn assert_fails(output: &Output, code: i32, reason: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(reason), "{stderr}");
}

#[tokio::test]
async fn a_running_service_is_healthy() {
    let sqs = FakeSqs::start().await.unwrap();
    let api = ApiProcess::start(&sqs, &[("OTEL_TRACES_EXPORTER", "none")]).await;
    let listen_addr = format!("0.0.0.0:{}", api.address.port());
    let output = check(&listen_addr, &[]).await;
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
    let url = format!("http://localhost:{}/readyz", api.address.port());
    assert!(check("127.0.0.1:1", &[&url]).await.status.success());
    let missing = format!("http://{}/nowhere", api.address);
    let output = check("127.0.0.1:1", &[&missing]).await;
    assert_fails(&output, 1, "responded with 404 Not Found, expected 200");
}

#[tokio::test]
async fn a_service_that_does_not_listen_is_not_healthy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let output = check(&address, &[]).await;
    let reason = format!("http://{address}/healthz did not respond: Connection refused");
    assert_fails(&output, 1, &reason);
}

#[tokio::test]
async fn a_service_that_hangs_is_not_healthy() {
    // The kernel accepts the connection, but nothing responds.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let output = check(&address, &[]).await;
    assert_fails(&output, 1, "did not respond within 2 s");
}

#[tokio::test]
async fn an_endpoint_that_is_invalid_is_said() {
    let output = check("8080", &[]).await;
    assert_fails(&output, 78, "LISTEN_ADDR");
    let output = check("127.0.0.1:1", &["https://127.0.0.1/"]).await;
    assert_fails(
        &output,
        78,
        "expected a URL such as http://127.0.0.1:8080/healthz",
    );
}
