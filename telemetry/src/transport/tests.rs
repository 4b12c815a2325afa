//! What is on the wire of a request, and what becomes of its answer, over each protocol. The budget has a module of its own.

use super::*;
use crate::endpoint::{DefaultScheme, Endpoint};
use crate::sink::{Answer, Sink};
use ::http::StatusCode;
use bytes::Buf as _;
use std::net::SocketAddr;

#[cfg(feature = "grpc")]
pub(super) mod calls;

/// Longer than anything on loopback takes.
pub(super) const LONG: Duration = Duration::from_secs(20);

pub(super) fn soon() -> Instant {
    Instant::now() + LONG
}

pub(super) fn otlp(url: &str, protocol: Protocol) -> Otlp {
    Otlp {
        endpoint: Endpoint::parse(url, DefaultScheme::Http).unwrap(),
        protocol,
        headers: HeaderMap::new(),
        timeout: LONG,
        compression: Compression::None,
        certificates: Default::default(),
    }
}

pub(super) fn request(pieces: &[&'static [u8]]) -> Frames {
    let mut request = Frames::default();
    for piece in pieces {
        request.push(Bytes::from_static(piece));
    }
    request
}

fn over_http(address: SocketAddr) -> Transport {
    let url = format!("http://{address}/v1/traces");
    Transport::new(Signal::Traces, &otlp(&url, Protocol::HttpProtobuf))
}
