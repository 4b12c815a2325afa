//! Idle connections that break or receive bytes between two requests.

use std::io::{Read as _, Write as _};
use std::sync::mpsc;

use super::*;

/// Bodies that identify the response.
const FIRST: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst";
const FRESH: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfresh";
const STALE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstale";
const TIMED_OUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

async fn get(client: &HttpClient) -> Result<HttpResponse, RequestError> {
    client
        .send(Method::GET, &[], BufList::default(), soon())
        .await
}

/// Reads a request and responds.
async fn respond(peer: &mut TcpStream, bytes: &[u8]) {
    read_head(peer).await;
    peer.write_all(bytes).await.unwrap();
}

/// Writes `meanwhile` to an idle connection while the process is frozen, and returns the body of
/// the next response.
async fn get_after_freeze(meanwhile: &'static [u8]) -> Bytes {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = HttpClient::new(endpoint(listener.local_addr().unwrap()), HeaderMap::new());
    let (freeze, frozen) = mpsc::channel();
    let (thaw, thawed) = mpsc::channel();
    // The thread is not joined, because it waits for a new connection that may never come.
    std::thread::spawn(move || {
        let accept = || listener.accept().unwrap().0;
        let read_head = |peer: &mut std::net::TcpStream| {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                peer.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
        };
        let mut idle = accept();
        read_head(&mut idle);
        idle.write_all(FIRST).unwrap();
        frozen.recv().unwrap();
        idle.write_all(meanwhile).unwrap();
        thaw.send(()).unwrap();
        let mut fresh = accept();
        read_head(&mut fresh);
        fresh.write_all(FRESH).unwrap();
    });
    assert_eq!(get(&client).await.unwrap().body.unwrap(), "first");
    assert_eq!(client.idle().len(), 1);
    freeze.send(()).unwrap();
    // Blocks the only thread of the runtime, so that it does not notice the bytes that arrive.
    thawed.recv().unwrap();
    get(&client).await.unwrap().body.unwrap()
}

#[tokio::test]
async fn bytes_that_arrived_before_a_request_are_not_its_response() {
    for meanwhile in [STALE, TIMED_OUT] {
        assert_eq!(get_after_freeze(meanwhile).await, "fresh");
    }
}

#[tokio::test]
async fn a_request_that_crosses_a_408_on_an_idle_connection_is_retried_once() {
    let (listener, client) = client(&HeaderMap::new()).await;
    let peer = async {
        let mut idle = accept(&listener).await;
        respond(&mut idle, FIRST).await;
        respond(&mut idle, TIMED_OUT).await;
        let mut fresh = accept(&listener).await;
        respond(&mut fresh, TIMED_OUT).await;
    };
    let requests = async { (get(&client).await.unwrap(), get(&client).await.unwrap()) };
    let ((), (first, second)) = both(peer, requests).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 408));
    assert!(client.idle().is_empty());
}

#[tokio::test]
async fn after_a_timeout_no_idle_connection_is_used() {
    let (listener, client) = client(&HeaderMap::new()).await;
    let respond_all = async {
        let mut peers = Vec::new();
        for _ in 0..MAX_KEPT_CONNECTIONS {
            peers.push(accept(&listener).await);
        }
        for peer in &mut peers {
            respond(peer, FIRST).await;
        }
        peers
    };
    let requests = async { tokio::join!(get(&client), get(&client), get(&client)) };
    let (_silent, _) = both(respond_all, requests).await;
    assert_eq!(client.idle().len(), MAX_KEPT_CONNECTIONS);
    let now = Instant::now();
    let timed_out = client.send(Method::GET, &[], BufList::default(), now);
    assert!(matches!(timed_out.await, Err(RequestError::Timeout)));
    assert!(client.idle().is_empty());
    let peer = async { respond(&mut accept(&listener).await, FRESH).await };
    let ((), response) = both(peer, get(&client)).await;
    assert_eq!(response.unwrap().body.unwrap(), "fresh");
}
