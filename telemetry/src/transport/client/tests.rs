//! Requests to peers that respond early, late or in parts.

use std::net::SocketAddr;
use std::sync::Arc;

use baton_test_support::{Behaviour, CollectorResponse, TestCollector};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::config::DefaultScheme;

mod idle;

/// More than the sockets' buffers hold, so that writing the request blocks until the peer reads.
const LONG_REQUEST: usize = 32 * 1024 * 1024;

/// Longer than anything on loopback takes.
const LONG: Duration = Duration::from_secs(20);

/// Long enough for a response on loopback to arrive.
const SHORT: Duration = Duration::from_millis(500);

/// Runs both futures, and panics if they hang.
async fn both<P: Future, R: Future>(peer: P, request: R) -> (P::Output, R::Output) {
    let both = async { tokio::join!(peer, request) };
    timeout(LONG, both).await.unwrap()
}

fn soon() -> Instant {
    Instant::now() + LONG
}

async fn client(headers: &HeaderMap) -> (TcpListener, HttpClient) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (
        listener,
        HttpClient::new(endpoint(address), headers.clone()),
    )
}

fn endpoint(address: SocketAddr) -> Endpoint {
    let url = format!("http://{address}/v1/traces");
    Endpoint::parse(&url, DefaultScheme::Http).unwrap()
}

fn body(length: usize) -> BufList {
    let mut body = BufList::default();
    body.push(vec![b'x'; length].into());
    body
}

async fn accept(listener: &TcpListener) -> TcpStream {
    listener.accept().await.unwrap().0
}

async fn read_head(peer: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(peer.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn a_response_before_the_end_of_the_request_counts() {
    let (listener, client) = client(&HeaderMap::new()).await;
    let peer = async {
        let mut peer = accept(&listener).await;
        read_head(&mut peer).await;
        let response = b"HTTP/1.1 413 Too Long\r\ncontent-length: 0\r\n\r\n";
        peer.write_all(response).await.unwrap();
        peer
    };
    let (peer, response) = both(
        peer,
        client.send(Method::POST, &[], body(LONG_REQUEST), soon()),
    )
    .await;
    assert_eq!(response.unwrap().status, 413);
    // The connection carries half a request and cannot be reused.
    drop(peer);
    assert!(client.idle().is_empty());
}

#[tokio::test]
async fn a_request_has_one_host_and_one_content_length() {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("1"));
    headers.insert(header::HOST, HeaderValue::from_static("other"));
    headers.append("x-key", HeaderValue::from_static("a"));
    headers.append("x-key", HeaderValue::from_static("b"));
    let (listener, client) = client(&headers).await;
    let peer = async {
        let mut peer = accept(&listener).await;
        let head = read_head(&mut peer).await;
        let mut body = [0; 3];
        peer.read_exact(&mut body).await.unwrap();
        let response = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        peer.write_all(response).await.unwrap();
        (head, body)
    };
    let (received, response) = both(peer, client.send(Method::POST, &[], body(3), soon())).await;
    let host = listener.local_addr().unwrap();
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: {host}\r\nx-key: a\r\nx-key: b\r\ncontent-length: 3\r\n\r\n"
    );
    assert_eq!(received, (head, *b"xxx"));
    assert_eq!(response.unwrap().body.unwrap(), "ok");
}

#[tokio::test]
async fn a_new_connection_that_the_peer_closes_is_an_error() {
    let (listener, client) = client(&HeaderMap::new()).await;
    let peer = async {
        let mut peer = accept(&listener).await;
        read_head(&mut peer).await;
    };
    let ((), response) = both(peer, client.send(Method::POST, &[], body(3), soon())).await;
    assert!(matches!(response, Err(RequestError::Broken(_))));
}

#[tokio::test]
async fn a_response_in_many_segments_is_joined() {
    let (listener, client) = client(&HeaderMap::new()).await;
    let peer = async {
        let mut peer = accept(&listener).await;
        peer.set_nodelay(true).unwrap();
        read_head(&mut peer).await;
        for byte in b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" {
            peer.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        peer
    };
    let (_peer, response) = both(
        peer,
        client.send(Method::GET, &[], BufList::default(), soon()),
    )
    .await;
    assert_eq!(response.unwrap().body.unwrap(), "ok");
    assert_eq!(client.idle().len(), 1);
}

/// Returns the status of a request whose peer sends this response, and then keeps the connection
/// open or closes it.
async fn request_status(response: String, is_left_open: bool, time: Duration) -> u16 {
    let (listener, client) = client(&HeaderMap::new()).await;
    let peer = async {
        let mut peer = accept(&listener).await;
        read_head(&mut peer).await;
        peer.write_all(response.as_bytes()).await.unwrap();
        is_left_open.then_some(peer)
    };
    let deadline = Instant::now() + time;
    let request = client.send(Method::GET, &[], BufList::default(), deadline);
    let (_peer, response) = both(peer, request).await;
    assert!(client.idle().is_empty());
    response.unwrap().status.as_u16()
}

#[tokio::test]
async fn a_status_is_returned_even_if_the_body_is_incomplete() {
    for status in [200, 400] {
        let head = format!("HTTP/1.1 {status} X\r\n");
        let headers = "x-header: x\r\n".repeat(1000);
        let filler = "x".repeat(response::MAX_RESPONSE + 1);
        for response in [
            format!("{head}{headers}content-length: 0\r\n\r\n"),
            format!("{head}content-length: {}\r\n\r\n", filler.len()),
            format!("{head}content-length: none\r\n\r\n"),
            format!("{head}\r\n{filler}"),
            format!("{head}transfer-encoding: chunked\r\n\r\nnone\r\n"),
        ] {
            assert_eq!(request_status(response, true, LONG).await, status);
        }
        let truncated = format!("{head}content-length: 9\r\n\r\nx");
        assert_eq!(request_status(truncated.clone(), false, LONG).await, status);
        assert_eq!(request_status(truncated, true, SHORT).await, status);
    }
}

/// Headers of a request that the collector accepts.
fn protobuf() -> HeaderMap {
    let content_type = HeaderValue::from_static("application/x-protobuf");
    HeaderMap::from_iter([(http::header::CONTENT_TYPE, content_type)])
}

/// Sends this number of concurrent requests, without a body.
fn send_concurrently(client: &Arc<HttpClient>, requests: usize) -> Vec<JoinHandle<bool>> {
    let send = |_| {
        let client = Arc::clone(client);
        tokio::spawn(async move {
            let response = client.send(Method::POST, &[], BufList::default(), soon());
            response.await.is_ok()
        })
    };
    (0..requests).map(send).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_requests_share_the_idle_connections() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let mut client = HttpClient::new(endpoint(collector.address()), protobuf());
    // No request gives up waiting for a connection, even on a slow machine.
    client.idle_wait = LONG;
    for request in send_concurrently(&Arc::new(client), 100) {
        assert!(request.await.unwrap());
    }
    assert!(collector.connection_count() <= MAX_KEPT_CONNECTIONS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hanging_requests_delay_others_only_for_the_idle_wait() {
    let collector = TestCollector::start(Behaviour::script(
        &[CollectorResponse::Hang; MAX_KEPT_CONNECTIONS],
    ))
    .await
    .unwrap();
    let client = Arc::new(HttpClient::new(endpoint(collector.address()), protobuf()));
    let hanging = send_concurrently(&client, MAX_KEPT_CONNECTIONS);
    let all_hang = async {
        while collector.request_count() < MAX_KEPT_CONNECTIONS {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, all_hang).await.unwrap();
    for request in send_concurrently(&client, 5) {
        assert!(request.await.unwrap());
    }
    for request in hanging {
        assert!(!request.is_finished());
        request.abort();
    }
}
