use std::net::SocketAddr;
use std::time::{Duration, Instant};

use baton_producer::{OutgoingMessage, QueueError, QueueSendError, QueueSender};
use baton_test_support::span_recorder::{SpanRecorder, attribute};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::support::{sender_builder, span_recorder};

/// Time limit of a send. It is long enough for a few attempts.
const DELIVERY_TIMEOUT: Duration = Duration::from_millis(500);

fn sender(address: SocketAddr, spans: &SpanRecorder) -> QueueSender {
    sender_builder(address, "onboarding", spans)
        .delivery_timeout(DELIVERY_TIMEOUT)
        .build()
}

/// Returns an address that refuses connections.
async fn refusing_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Returns an address that accepts connections and closes each after the first bytes.
async fn closing_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _received = stream.read(&mut [0; 1024]).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn a_refused_connection_is_tried_until_the_deadline() {
    let spans = span_recorder();
    let started_at = Instant::now();
    let error = sender(refusing_address().await, &spans)
        .send(OutgoingMessage::new("body"))
        .await
        .unwrap_err();
    assert!(
        started_at.elapsed() < Duration::from_secs(2),
        "{:?}",
        started_at.elapsed()
    );
    assert_eq!(
        (error.error_type(), error.is_retryable()),
        ("connect", true)
    );
    assert!(
        matches!(
            error,
            QueueSendError::DeadlineExceeded {
                may_have_been_sent: false,
                source: Some(QueueError::NoResponse { .. }),
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(
        attribute(&spans.find("send onboarding"), "error.type"),
        "connect"
    );
}

#[tokio::test]
async fn a_closed_connection_fails_as_io_and_not_as_connect() {
    let spans = span_recorder();
    let error = sender(closing_address().await, &spans)
        .send(OutgoingMessage::new("body"))
        .await
        .unwrap_err();
    assert_eq!((error.error_type(), error.is_retryable()), ("io", true));
    assert!(error.may_have_been_sent());
    assert_eq!(
        attribute(&spans.find("send onboarding"), "error.type"),
        "io"
    );
}
