//! Calls to servers that go away, and what they carry. What statuses mean is tested beside them.

use std::io::Read as _;
use std::sync::Arc;

use ::http::HeaderName;
use flate2::read::GzDecoder;
use tokio::net::TcpListener;
use tokio::runtime::{Builder as Runtimes, Runtime};
use tokio::time::timeout;

use super::*;
use crate::config::{Compression, Protocol};
use crate::otlp::PartialSuccess;
use crate::transport::tests::grpc_server::{Reply, Server};
use crate::transport::tests::{LONG, key, otlp, request, soon};
use crate::transport::{ProtocolClient, Transport, TransportError};

/// Long enough for an answer on loopback to arrive.
const A_MOMENT: Duration = Duration::from_millis(500);

/// A response with a message and without rejected records.
const WARNING: &[u8] = b"\x0a\x08\x12\x06answer";

fn transport(server: &Server) -> Transport {
    let url = format!("http://{}", server.address);
    Transport::new(Signal::Metrics, &otlp(&url, Protocol::Grpc))
}

async fn send(transport: &Transport) -> Result<PartialSuccess, TransportError> {
    transport.send(request(&[b"x"]), soon()).await
}

#[tokio::test]
async fn a_call_is_one_message_with_a_prefix_to_the_signals_service() {
    let server = Server::start(&[Reply::Message(WARNING)]).await;
    let transport = transport(&server);
    let answer = transport.send(request(&[b"one ", b"two"]), soon()).await;
    assert_eq!(answer.unwrap().message, "answer");
    let seen = server.shared().seen.remove(0);
    assert_eq!(
        seen.path,
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
    );
    assert_eq!(seen.body, b"\0\0\0\0\x07one two");
    for (name, value) in [
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        (
            "user-agent",
            concat!("baton-telemetry/", env!("CARGO_PKG_VERSION")),
        ),
    ] {
        assert_eq!(seen.headers[name], value, "{name}");
    }
    assert!(!seen.headers.contains_key("grpc-encoding"));
}

#[tokio::test]
async fn headers_are_those_that_are_configured_or_renewed_but_for_the_calls_own() {
    let server = Server::start(&[]).await;
    let mut otlp = otlp(&format!("http://{}", server.address), Protocol::Grpc);
    otlp.headers.extend([key("Bearer old")]);
    for (name, value) in [
        ("x-team", "a"),
        ("host", "other"),
        ("content-length", "99"),
        ("connection", "close"),
        ("te", "gzip"),
        ("content-type", "text/plain"),
    ] {
        let value = HeaderValue::from_static(value);
        otlp.headers.insert(HeaderName::from_static(name), value);
    }
    let transport = Transport::new(Signal::Logs, &otlp);
    send(&transport).await.unwrap();
    transport.set_headers(HeaderMap::from_iter([key("Bearer renewed")]));
    send(&transport).await.unwrap();
    let seen = std::mem::take(&mut server.shared().seen);
    for (seen, authorization) in seen.iter().zip(["Bearer old", "Bearer renewed"]) {
        assert_eq!(seen.headers[header::AUTHORIZATION], authorization);
        assert_eq!(seen.headers["x-team"], "a");
        assert_eq!(seen.headers["te"], "trailers");
        assert_eq!(seen.headers["content-type"], "application/grpc");
        assert_eq!(seen.headers["content-length"], "6");
        assert!(!seen.headers.contains_key("host"));
        assert!(!seen.headers.contains_key("connection"));
    }
    assert_eq!(seen.len(), 2);
}

#[tokio::test]
async fn what_is_compressed_says_so_and_is_what_was_given() {
    let server = Server::start(&[]).await;
    let mut otlp = otlp(&format!("http://{}", server.address), Protocol::Grpc);
    otlp.compression = Compression::Gzip;
    let transport = Transport::new(Signal::Traces, &otlp);
    let spans = vec![b'x'; LONG_MESSAGE];
    let mut message = BufList::default();
    message.push(spans.clone().into());
    transport.send(message, soon()).await.unwrap();
    let seen = server.shared().seen.remove(0);
    assert_eq!(seen.headers["grpc-encoding"], "gzip");
    let (prefix, compressed) = seen.body.split_at(message::PREFIX_BYTES);
    assert_eq!(prefix[0], 1);
    assert_eq!(prefix[1..], (compressed.len() as u32).to_be_bytes());
    let mut plain = Vec::new();
    GzDecoder::new(compressed).read_to_end(&mut plain).unwrap();
    assert!(plain == spans);
}

/// Many times what a server allows to be sent before it has read.
const LONG_MESSAGE: usize = 3 * 1024 * 1024;

#[tokio::test]
async fn a_long_message_in_many_pieces_arrives_whole() {
    let server = Server::start(&[]).await;
    let mut message = BufList::default();
    let pieces: Vec<Vec<u8>> = (0..300).map(|piece| vec![piece as u8; 10_001]).collect();
    for piece in &pieces {
        message.push(piece.clone().into());
    }
    transport(&server).send(message, soon()).await.unwrap();
    let seen = server.shared().seen.remove(0);
    assert!(seen.body[message::PREFIX_BYTES..] == pieces.concat());
}

fn on_one_thread() -> Runtime {
    Runtimes::new_current_thread().enable_all().build().unwrap()
}

/// A server with a thread of its own, which goes on while the client stands still.
fn elsewhere(script: &[Reply]) -> (Runtime, Server) {
    let mut threads = Runtimes::new_multi_thread();
    let elsewhere = threads.worker_threads(1).enable_all().build().unwrap();
    let server = elsewhere.block_on(Server::start(script));
    (elsewhere, server)
}

#[test]
fn a_connection_that_died_while_the_process_stood_still_is_replaced_at_once() {
    let (elsewhere, server) = elsewhere(&[]);
    let (here, transport) = (on_one_thread(), transport(&server));
    here.block_on(send(&transport)).unwrap();
    // Nothing of the client runs here: between two calls of `block_on` its only thread does
    // something else.
    elsewhere.block_on(server.hang_up());
    here.block_on(send(&transport)).unwrap();
    assert_eq!(server.shared().connections, 2);
}

#[tokio::test]
async fn a_call_that_breaks_on_a_kept_connection_is_made_again_once() {
    for reply in [Reply::Reset, Reply::Cut] {
        let twice = [Reply::Message(b""), reply.clone(), Reply::Message(WARNING)];
        let server = Server::start(&twice).await;
        let transport = transport(&server);
        send(&transport).await.unwrap();
        assert_eq!(
            send(&transport).await.unwrap().message,
            "answer",
            "{reply:?}"
        );
        assert_eq!(server.shared().connections, 2);

        let always = [Reply::Message(b""), reply.clone(), reply.clone()];
        let server = Server::start(&always).await;
        let transport = self::transport(&server);
        send(&transport).await.unwrap();
        let broken = send(&transport).await;
        assert!(
            matches!(broken, Err(TransportError::Send(SendError::Broken(_)))),
            "{broken:?}"
        );
        assert_eq!(server.shared().seen.len(), 3);
    }
}

#[tokio::test]
async fn a_connection_that_takes_no_more_calls_is_replaced() {
    let server = Server::start(&[Reply::ThenGoAway]).await;
    let transport = transport(&server);
    for _ in 0..3 {
        send(&transport).await.unwrap();
    }
    assert_eq!(server.shared().connections, 2);
}

#[tokio::test]
async fn after_a_call_without_an_answer_the_next_one_has_a_new_connection() {
    let server = Server::start(&[Reply::Message(b""), Reply::Hang]).await;
    let transport = transport(&server);
    send(&transport).await.unwrap();
    let deadline = Instant::now() + A_MOMENT;
    let silent = transport.send(request(&[b"x"]), deadline).await;
    assert!(matches!(
        silent,
        Err(TransportError::Send(SendError::Timeout))
    ));
    assert_eq!(server.shared().connections, 1);
    send(&transport).await.unwrap();
    assert_eq!(server.shared().connections, 2);
}

#[tokio::test]
async fn calls_at_once_share_the_kept_connection() {
    let server = Server::start(&[]).await;
    let transport = Arc::new(transport(&server));
    send(&transport).await.unwrap();
    let calls = (0..20).map(|_| {
        let transport = Arc::clone(&transport);
        tokio::spawn(async move { send(&transport).await.is_ok() })
    });
    for call in calls.collect::<Vec<_>>() {
        assert!(call.await.unwrap());
    }
    assert_eq!(server.shared().connections, 1);
}

#[test]
fn calls_are_made_on_any_runtime_and_from_any_task() {
    let (_elsewhere, server) = elsewhere(&[]);
    let transport = Arc::new(transport(&server));
    let one_worker = || {
        let mut threads = Runtimes::new_multi_thread();
        threads.worker_threads(1).enable_all().build().unwrap()
    };
    for runtime in [on_one_thread(), one_worker()] {
        runtime.block_on(send(&transport)).unwrap();
        let spawned = Arc::clone(&transport);
        let spawned = runtime.spawn(async move { send(&spawned).await.is_ok() });
        assert!(runtime.block_on(spawned).unwrap());
        // The connection dies with the runtime that it belongs to.
    }
    assert_eq!(server.shared().connections, 2);
}

#[tokio::test]
async fn a_peer_that_vanished_is_noticed_while_nobody_calls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut transport = Transport::new(Signal::Traces, &otlp(&url, Protocol::Grpc));
    let ProtocolClient::Grpc(client) = &mut transport.client else {
        unreachable!()
    };
    client.keep_alive = KeepAlive {
        interval: Duration::from_millis(50),
        timeout: Duration::from_millis(50),
    };
    let connection = client.connect().await.unwrap();
    let (_silent, _) = listener.accept().await.unwrap();
    let closed = async {
        while !connection.is_closed() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, closed).await.unwrap();
}
