//! Calls, their content, and servers that close connections. The classification of statuses is
//! tested with the statuses.

use std::io::Read as _;
use std::sync::Arc;

use ::http::HeaderName;
use flate2::read::GzDecoder;
use tokio::net::TcpListener;
use tokio::runtime::{Builder as RuntimeBuilder, Runtime};
use tokio::time::timeout;

use super::*;
use crate::config::{OtlpCompression, OtlpProtocol};
use crate::otlp::PartialSuccess;
use crate::transport::tests::grpc_server::{GrpcServer, Reply};
use crate::transport::tests::{LONG, key, otlp, request, soon};
use crate::transport::{ProtocolClient, Transport, TransportError};

/// Long enough for a response on loopback to arrive.
const SHORT: Duration = Duration::from_millis(500);

/// A response with a message and without rejected records.
const WARNING: &[u8] = b"\x0a\x0a\x12\x08response";

fn transport(server: &GrpcServer) -> Transport {
    let url = format!("http://{}", server.address);
    Transport::new(Signal::Metrics, &otlp(&url, OtlpProtocol::Grpc))
}

async fn send(transport: &Transport) -> Result<PartialSuccess, TransportError> {
    transport.send(request(&[b"x"]), soon()).await
}

#[tokio::test]
async fn a_call_is_a_length_prefixed_message_for_the_service_of_the_signal() {
    let server = GrpcServer::start(&[Reply::Message(WARNING)]).await;
    let transport = transport(&server);
    let response = transport.send(request(&[b"one ", b"two"]), soon()).await;
    assert_eq!(response.unwrap().message, "response");
    let calls_received = server.shared().calls_received.remove(0);
    assert_eq!(
        calls_received.path,
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
    );
    assert_eq!(calls_received.body, b"\0\0\0\0\x07one two");
    for (name, value) in [
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        (
            "user-agent",
            concat!("baton-telemetry/", env!("CARGO_PKG_VERSION")),
        ),
    ] {
        assert_eq!(calls_received.headers[name], value, "{name}");
    }
    assert!(!calls_received.headers.contains_key("grpc-encoding"));
}

#[tokio::test]
async fn calls_have_the_configured_or_renewed_headers_except_reserved_ones() {
    let server = GrpcServer::start(&[]).await;
    let mut otlp = otlp(&format!("http://{}", server.address), OtlpProtocol::Grpc);
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
    let calls_received = std::mem::take(&mut server.shared().calls_received);
    for (calls_received, authorization) in
        calls_received.iter().zip(["Bearer old", "Bearer renewed"])
    {
        assert_eq!(calls_received.headers[header::AUTHORIZATION], authorization);
        assert_eq!(calls_received.headers["x-team"], "a");
        assert_eq!(calls_received.headers["te"], "trailers");
        assert_eq!(calls_received.headers["content-type"], "application/grpc");
        assert_eq!(calls_received.headers["content-length"], "6");
        assert!(!calls_received.headers.contains_key("host"));
        assert!(!calls_received.headers.contains_key("connection"));
    }
    assert_eq!(calls_received.len(), 2);
}

#[tokio::test]
async fn a_compressed_message_has_an_encoding_and_decompresses_to_the_original() {
    let server = GrpcServer::start(&[]).await;
    let mut otlp = otlp(&format!("http://{}", server.address), OtlpProtocol::Grpc);
    otlp.compression = OtlpCompression::Gzip;
    let transport = Transport::new(Signal::Traces, &otlp);
    let spans = vec![b'x'; LONG_MESSAGE];
    let mut message = BufList::default();
    message.push(spans.clone().into());
    transport.send(message, soon()).await.unwrap();
    let calls_received = server.shared().calls_received.remove(0);
    assert_eq!(calls_received.headers["grpc-encoding"], "gzip");
    let (prefix, compressed) = calls_received.body.split_at(message::PREFIX_BYTES);
    assert_eq!(prefix[0], 1);
    assert_eq!(prefix[1..], (compressed.len() as u32).to_be_bytes());
    let mut plain = Vec::new();
    GzDecoder::new(compressed).read_to_end(&mut plain).unwrap();
    assert!(plain == spans);
}

/// Many times the initial flow-control window.
const LONG_MESSAGE: usize = 3 * 1024 * 1024;

#[tokio::test]
async fn a_long_message_in_many_buffers_arrives_complete() {
    let server = GrpcServer::start(&[]).await;
    let mut message = BufList::default();
    let pieces: Vec<Vec<u8>> = (0..300).map(|piece| vec![piece as u8; 10_001]).collect();
    for piece in &pieces {
        message.push(piece.clone().into());
    }
    transport(&server).send(message, soon()).await.unwrap();
    let calls_received = server.shared().calls_received.remove(0);
    assert!(calls_received.body[message::PREFIX_BYTES..] == pieces.concat());
}

fn current_thread_runtime() -> Runtime {
    RuntimeBuilder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// A server on a separate thread, which runs while the client does not.
fn start_on_other_thread(script: &[Reply]) -> (Runtime, GrpcServer) {
    let mut threads = RuntimeBuilder::new_multi_thread();
    let runtime = threads.worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(GrpcServer::start(script));
    (runtime, server)
}

#[test]
fn a_connection_that_broke_during_a_freeze_is_replaced_immediately() {
    let (other, server) = start_on_other_thread(&[]);
    let (here, transport) = (current_thread_runtime(), transport(&server));
    here.block_on(send(&transport)).unwrap();
    // The client is frozen here: between two calls of `block_on` its only thread runs something
    // else.
    other.block_on(server.close_connections());
    here.block_on(send(&transport)).unwrap();
    assert_eq!(server.shared().connections, 2);
}

#[tokio::test]
async fn a_call_whose_reused_connection_breaks_is_retried_once() {
    for reply in [Reply::Reset, Reply::Truncated] {
        let twice = [Reply::Message(b""), reply.clone(), Reply::Message(WARNING)];
        let server = GrpcServer::start(&twice).await;
        let transport = transport(&server);
        send(&transport).await.unwrap();
        assert_eq!(
            send(&transport).await.unwrap().message,
            "response",
            "{reply:?}"
        );
        assert_eq!(server.shared().connections, 2);

        let always = [Reply::Message(b""), reply.clone(), reply.clone()];
        let server = GrpcServer::start(&always).await;
        let transport = self::transport(&server);
        send(&transport).await.unwrap();
        let broken = send(&transport).await;
        assert!(
            matches!(
                broken,
                Err(TransportError::Request(RequestError::Broken(_)))
            ),
            "{broken:?}"
        );
        assert_eq!(server.shared().calls_received.len(), 3);
    }
}

#[tokio::test]
async fn a_connection_that_was_shut_down_by_the_server_is_replaced() {
    let server = GrpcServer::start(&[Reply::SuccessAndGoAway]).await;
    let transport = transport(&server);
    for _ in 0..3 {
        send(&transport).await.unwrap();
    }
    assert_eq!(server.shared().connections, 2);
}

#[tokio::test]
async fn after_a_timeout_the_next_call_uses_a_new_connection() {
    let server = GrpcServer::start(&[Reply::Message(b""), Reply::Hang]).await;
    let transport = transport(&server);
    send(&transport).await.unwrap();
    let deadline = Instant::now() + SHORT;
    let timed_out = transport.send(request(&[b"x"]), deadline).await;
    assert!(matches!(
        timed_out,
        Err(TransportError::Request(RequestError::Timeout))
    ));
    assert_eq!(server.shared().connections, 1);
    send(&transport).await.unwrap();
    assert_eq!(server.shared().connections, 2);
}

#[tokio::test]
async fn concurrent_calls_share_the_connection() {
    let server = GrpcServer::start(&[]).await;
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
fn calls_work_on_every_runtime_and_from_every_task() {
    let (_other, server) = start_on_other_thread(&[]);
    let transport = Arc::new(transport(&server));
    let one_worker = || {
        let mut threads = RuntimeBuilder::new_multi_thread();
        threads.worker_threads(1).enable_all().build().unwrap()
    };
    for runtime in [current_thread_runtime(), one_worker()] {
        runtime.block_on(send(&transport)).unwrap();
        let spawned = Arc::clone(&transport);
        let spawned = runtime.spawn(async move { send(&spawned).await.is_ok() });
        assert!(runtime.block_on(spawned).unwrap());
        // The connection dies with the runtime that it belongs to.
    }
    assert_eq!(server.shared().connections, 2);
}

#[tokio::test]
async fn pings_detect_a_vanished_peer_between_calls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut transport = Transport::new(Signal::Traces, &otlp(&url, OtlpProtocol::Grpc));
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
