use std::net::SocketAddr;
use std::time::{Duration, Instant};

use baton_producer::{Message, QueueUnreachable, SendError};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::support::sender;
use crate::support::spans::{Spans, attribute};

/// An address at which nothing listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

/// An address at which every connection is accepted, and closed once something was said.
async fn hanging_up() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _said = stream.read(&mut [0; 1024]).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn an_sqs_that_is_away_fails_quickly_and_is_named() {
    let spans = Spans::collect();
    let started = Instant::now();
    let error = sender(nobody().await, &spans)
        .send(Message::new("body"))
        .await
        .unwrap_err();
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(
        (error.error_type(), error.is_retryable()),
        ("connect", true)
    );
    assert!(
        matches!(error, SendError::Queue(QueueUnreachable::NoAnswer { .. })),
        "{error:?}"
    );
    assert_eq!(
        attribute(&spans.one("send onboarding"), "error.type"),
        "connect"
    );
}

#[tokio::test]
async fn a_connection_that_breaks_is_not_taken_for_one_that_never_was() {
    let spans = Spans::collect();
    let error = sender(hanging_up().await, &spans)
        .send(Message::new("body"))
        .await
        .unwrap_err();
    assert_eq!((error.error_type(), error.is_retryable()), ("io", true));
    assert_eq!(attribute(&spans.one("send onboarding"), "error.type"), "io");
}
