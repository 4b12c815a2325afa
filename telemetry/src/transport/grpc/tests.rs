//! Calls to servers that go away, and what statuses mean.

use super::*;
use crate::config::{Compression, Protocol};
use crate::transport::tests::calls::{Reply, Seen, Server};
use crate::transport::tests::{LONG, otlp, request, soon};
use crate::transport::{Status, Transport};

fn transport(server: &Server) -> Transport {
    let url = format!("http://{}", server.address);
    Transport::new(Signal::Metrics, &otlp(&url, Protocol::Grpc))
}

#[tokio::test]
async fn a_call_is_one_message_with_a_prefix_to_the_signals_service() {
    let server = Server::start(&[Reply::Message(b"answer")]).await;
    let transport = transport(&server);
    let answer = transport.send(request(&[b"one ", b"two"]), soon()).await;
    assert_eq!(answer.unwrap(), "answer");
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
