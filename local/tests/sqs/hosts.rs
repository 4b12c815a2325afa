use std::net::SocketAddr;

use crate::support::{Endpoint, exchange};

/// Hosts that name this machine or SQS on AWS.
const ACCEPTED: [&str; 13] = [
    "localhost",
    "LOCALHOST:9324",
    "localhost.:9324",
    "sqs.us-east-1.localhost:9324",
    "127.0.0.1",
    "127.8.9.10:80",
    "[::1]:9324",
    "[::ffff:127.0.0.1]",
    "sqs.us-east-1.amazonaws.com",
    "eu-west-1.queue.amazonaws.com:443",
    "queue.amazonaws.com",
    "sqs.cn-north-1.amazonaws.com.cn",
    "sqs-fips.us-gov-west-1.api.aws",
];

/// Hosts that a page of another site can make a browser send, and similar ones.
const REFUSED: [&str; 13] = [
    "evil.example",
    "evil.example:9324",
    "localhost.evil.example",
    "notlocalhost",
    "127.0.0.1.evil.example",
    "192.168.0.7:9324",
    "0.0.0.0:9324",
    "[2001:db8::1]",
    "bucket.s3.amazonaws.com",
    "sqs.us-east-1.amazonaws.com.evil.example",
    "sqs.evil.example.amazonaws.com",
    "someone@localhost",
    "",
];

#[tokio::test]
async fn only_loopback_names_and_those_of_sqs_are_accepted() {
    let endpoint = Endpoint::start().await;
    for host in ACCEPTED {
        let response = list_queues(endpoint.address, &format!("Host: {host}\r\n")).await;
        assert!(response.starts_with("HTTP/1.1 200 "), "{host}: {response}");
    }
    for host in REFUSED {
        let response = list_queues(endpoint.address, &format!("Host: {host}\r\n")).await;
        assert!(response.starts_with("HTTP/1.1 421 "), "{host}: {response}");
    }
    endpoint.stop().await.unwrap();
}

#[tokio::test]
async fn a_rejected_host_is_an_error_of_sqs_that_says_what_to_do() {
    let endpoint = Endpoint::start().await;
    let response = list_queues(endpoint.address, "Host: evil.example\r\n").await;
    for expected in [
        "content-type: application/x-amz-json-1.0",
        "\"__type\":\"com.amazon.coral.service#AccessDeniedException\"",
        "the host \\\"evil.example\\\" is not allowed",
        "--allow-host",
    ] {
        assert!(response.contains(expected), "{expected}: {response}");
    }
    endpoint.stop().await.unwrap();
}

#[tokio::test]
async fn every_host_in_a_request_is_checked() {
    let endpoint = Endpoint::start().await;
    for (head, status) in [
        ("Host: localhost\r\nHost: localhost\r\n", 400),
        ("Host: localhost\r\nHost: evil.example\r\n", 400),
        // Scripts may omit the header; browsers always send it.
        ("", 200),
    ] {
        let response = list_queues(endpoint.address, head).await;
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status} ")),
            "{head}: {response}"
        );
    }
    for (target, host, status) in [
        ("http://evil.example/", "localhost", 421),
        ("http://localhost/", "evil.example", 421),
        ("http://localhost/", "localhost", 200),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let response = exchange(endpoint.address, &head).await;
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status} ")),
            "{head}: {response}"
        );
    }
    let response = exchange(endpoint.address, "GET /health HTTP/1.0\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.0 200 "), "{response}");
    endpoint.stop().await.unwrap();
}

#[tokio::test]
async fn a_page_of_another_origin_is_rejected() {
    let endpoint = Endpoint::start().await;
    for (origin, status) in [
        ("https://evil.example", 403),
        ("null", 403),
        ("http://localhost:3000", 200),
    ] {
        let head = format!("Host: localhost\r\nOrigin: {origin}\r\n");
        let response = list_queues(endpoint.address, &head).await;
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status} ")),
            "{origin}: {response}"
        );
    }
    endpoint.stop().await.unwrap();
}

#[tokio::test]
async fn a_large_request_to_a_foreign_host_gets_the_complete_response() {
    let endpoint = Endpoint::start().await;
    let body = "x".repeat(1 << 20);
    let request = format!(
        "POST / HTTP/1.1\r\nHost: evil.example\r\nX-Amz-Target: AmazonSQS.SendMessage\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let response = exchange(endpoint.address, &request).await;
    assert!(response.starts_with("HTTP/1.1 421 "), "{response}");
    endpoint.stop().await.unwrap();
}

/// Returns the response to `ListQueues` with these header lines.
async fn list_queues(address: SocketAddr, head: &str) -> String {
    let request = format!(
        "POST / HTTP/1.1\r\n{head}X-Amz-Target: AmazonSQS.ListQueues\r\nConnection: close\r\n\
         Content-Length: 2\r\n\r\n{{}}"
    );
    exchange(address, &request).await
}
