use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::Endpoint;

async fn get(endpoint: &Endpoint, path: &str) -> String {
    let mut stream = TcpStream::connect(endpoint.address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test]
async fn health_checks_succeed() {
    let endpoint = Endpoint::start().await;
    for path in ["/", "/health"] {
        assert!(
            get(&endpoint, path).await.starts_with("HTTP/1.1 200 "),
            "{path}"
        );
    }
    assert!(
        get(&endpoint, "/nothing")
            .await
            .starts_with("HTTP/1.1 404 ")
    );
}

#[tokio::test]
async fn shutdown_ends_a_long_poll_without_messages() {
    let endpoint = Endpoint::start().await;
    let url = endpoint.queue("q", &[]).await;
    let body = format!(r#"{{"QueueUrl":"{url}","WaitTimeSeconds":20}}"#);
    let mut stream = TcpStream::connect(endpoint.address).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\nx-amz-target: AmazonSQS.ReceiveMessage\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // Once the endpoint has asked for the body, it is handling the request, and the shutdown below
    // cannot come before it.
    let mut interim = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut interim).await.unwrap();
    assert!(interim.starts_with(b"HTTP/1.1 100 "));
    stream.write_all(body.as_bytes()).await.unwrap();
    let started = Instant::now();
    endpoint.stop().await.unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "took {:?}",
        started.elapsed()
    );
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(
        response.starts_with("HTTP/1.1 200 ") && response.ends_with("{}"),
        "{response}"
    );
}

#[tokio::test]
async fn a_stalled_client_does_not_prevent_shutdown() {
    let endpoint = Endpoint::start().await;
    let mut stalled = TcpStream::connect(endpoint.address).await.unwrap();
    stalled
        .write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{")
        .await
        .unwrap();
    get(&endpoint, "/health").await;
    tokio::time::timeout(Duration::from_secs(10), endpoint.stop())
        .await
        .unwrap()
        .unwrap();
}
