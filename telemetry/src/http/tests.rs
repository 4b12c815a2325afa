//! Exchanges with peers that do not wait for their turn.

use super::*;
use crate::endpoint::DefaultScheme;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// More than the sockets' buffers hold, so that the request cannot be written while nobody reads it.
const LONG_REQUEST: usize = 32 * 1024 * 1024;

async fn client(headers: &HeaderMap) -> (TcpListener, Client) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let endpoint = Endpoint::parse(&url, DefaultScheme::Http).unwrap();
    (listener, Client::new(endpoint, headers))
}

fn body(length: usize) -> Frames {
    let mut body = Frames::default();
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
async fn an_answer_before_the_end_of_the_request_counts() {
    let (listener, client) = client(&HeaderMap::new()).await;
    let peer = async {
        let mut peer = accept(&listener).await;
        read_head(&mut peer).await;
        let answer = b"HTTP/1.1 413 Too Long\r\ncontent-length: 0\r\n\r\n";
        peer.write_all(answer).await.unwrap();
        peer
    };
    let (peer, response) = tokio::join!(peer, client.send(Method::POST, &[], body(LONG_REQUEST)));
    assert_eq!(response.unwrap().status, 413);
    // Half a request is on it: this connection cannot carry another one.
    drop(peer);
    assert!(client.idle().is_empty());
}

#[tokio::test]
async fn what_is_sent_is_one_request_with_one_length() {
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
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        peer.write_all(answer).await.unwrap();
        (head, body)
    };
    let (seen, response) = tokio::join!(peer, client.send(Method::POST, &[], body(3)));
    let host = listener.local_addr().unwrap();
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: {host}\r\nx-key: a\r\nx-key: b\r\ncontent-length: 3\r\n\r\n"
    );
    assert_eq!(seen, (head, *b"xxx"));
    assert_eq!(response.unwrap().body, "ok");
}

#[tokio::test]
async fn a_peer_that_hangs_up_on_a_new_connection_is_an_error() {
    let (listener, client) = client(&HeaderMap::new()).await;
    let peer = async {
        let mut peer = accept(&listener).await;
        read_head(&mut peer).await;
    };
    let ((), response) = tokio::join!(peer, client.send(Method::POST, &[], body(3)));
    assert!(matches!(response, Err(SendError::Broken(_))));
}

#[tokio::test]
async fn an_answer_in_many_pieces_is_put_together() {
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
    let (_peer, response) = tokio::join!(peer, client.send(Method::GET, &[], Frames::default()));
    assert_eq!(response.unwrap().body, "ok");
    assert_eq!(client.idle().len(), 1);
}
