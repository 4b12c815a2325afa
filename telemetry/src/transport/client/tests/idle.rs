//! What becomes of kept connections while nobody looks at them.

use std::io::{Read as _, Write as _};
use std::sync::mpsc;

use super::*;

/// The bodies tell whose answer it was.
const FIRST: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst";
const FRESH: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfresh";
const STALE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstale";
const TIMED_OUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

async fn get(client: &Client) -> Result<Response, SendError> {
    client
        .send(Method::GET, &[], BufList::default(), soon())
        .await
}

/// Takes a request and answers it.
async fn answer(peer: &mut TcpStream, bytes: &[u8]) {
    read_head(peer).await;
    peer.write_all(bytes).await.unwrap();
}

/// What is written to a kept connection while the process, and with it the runtime, stands still.
async fn after_a_freeze(meanwhile: &'static [u8]) -> Bytes {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::new(endpoint(listener.local_addr().unwrap()), HeaderMap::new());
    let (freeze, frozen) = mpsc::channel();
    let (thaw, thawed) = mpsc::channel();
    // Not waited for: it would wait for a new connection that never comes.
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
        let mut kept = accept();
        read_head(&mut kept);
        kept.write_all(FIRST).unwrap();
        frozen.recv().unwrap();
        kept.write_all(meanwhile).unwrap();
        thaw.send(()).unwrap();
        let mut fresh = accept();
        read_head(&mut fresh);
        fresh.write_all(FRESH).unwrap();
    });
    assert_eq!(get(&client).await.unwrap().body.unwrap(), "first");
    assert_eq!(client.idle().len(), 1);
    freeze.send(()).unwrap();
    // Blocks the only thread of the runtime: it does not see what arrives.
    thawed.recv().unwrap();
    get(&client).await.unwrap().body.unwrap()
}

#[tokio::test]
async fn an_answer_that_came_before_the_request_is_not_the_requests() {
    for meanwhile in [STALE, TIMED_OUT] {
        assert_eq!(after_a_freeze(meanwhile).await, "fresh");
    }
}

#[tokio::test]
async fn a_request_that_crosses_a_408_on_a_kept_connection_is_sent_again_once() {
    let (listener, client) = client(&HeaderMap::new()).await;
    let peer = async {
        let mut kept = accept(&listener).await;
        answer(&mut kept, FIRST).await;
        answer(&mut kept, TIMED_OUT).await;
        let mut fresh = accept(&listener).await;
        answer(&mut fresh, TIMED_OUT).await;
    };
    let requests = async { (get(&client).await.unwrap(), get(&client).await.unwrap()) };
    let ((), (first, second)) = both(peer, requests).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 408));
    assert!(client.idle().is_empty());
}

#[tokio::test]
async fn after_one_kept_connection_fell_silent_none_is_used_again() {
    let (listener, client) = client(&HeaderMap::new()).await;
    let answer_all = async {
        let mut peers = Vec::new();
        for _ in 0..MAX_KEPT_CONNECTIONS {
            peers.push(accept(&listener).await);
        }
        for peer in &mut peers {
            answer(peer, FIRST).await;
        }
        peers
    };
    let requests = async { tokio::join!(get(&client), get(&client), get(&client)) };
    let (_silent, _) = both(answer_all, requests).await;
    assert_eq!(client.idle().len(), MAX_KEPT_CONNECTIONS);
    let now = Instant::now();
    let unanswered = client.send(Method::GET, &[], BufList::default(), now);
    assert!(matches!(unanswered.await, Err(SendError::Timeout)));
    assert!(client.idle().is_empty());
    let peer = async { answer(&mut accept(&listener).await, FRESH).await };
    let ((), response) = both(peer, get(&client)).await;
    assert_eq!(response.unwrap().body.unwrap(), "fresh");
}
