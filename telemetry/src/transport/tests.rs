//! Requests on the wire and the outcome of their responses, over each protocol. Deadlines have a
//! module of their own.

use std::io::Read as _;

use bytes::{Buf as _, Bytes};
use flate2::read::GzDecoder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::config::{DefaultScheme, Endpoint};
use crate::transport::client::RequestError;

mod deadline;
#[cfg(feature = "grpc")]
pub(super) mod grpc_server;
mod logging;
mod proxies;
mod rejections;
mod tls;
pub(super) mod tls_server;

/// Longer than anything on loopback takes.
pub(super) const LONG: Duration = Duration::from_secs(20);

pub(super) fn soon() -> Instant {
    Instant::now() + LONG
}

pub(super) fn otlp(url: &str, protocol: OtlpProtocol) -> OtlpConfig {
    OtlpConfig {
        proxy: None,
        endpoint: Endpoint::parse(url, DefaultScheme::Http).unwrap(),
        protocol,
        headers: HeaderMap::new(),
        timeout: LONG,
        compression: OtlpCompression::None,
        certificates: Default::default(),
    }
}

pub(super) fn request(pieces: &[&'static [u8]]) -> BufList {
    let mut request = BufList::default();
    for piece in pieces {
        request.push(Bytes::from_static(piece));
    }
    request
}

/// A header with a key, as the configuration produces it.
pub(super) fn key(value: &'static str) -> (HeaderName, HeaderValue) {
    let mut value = HeaderValue::from_static(value);
    value.set_sensitive(true);
    (header::AUTHORIZATION, value)
}

/// Reads a request with a length: its head and its body.
async fn read_request(peer: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(peer.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    peer.read_exact(&mut body).await.unwrap();
    (head, body)
}

/// Sends requests over HTTP and gives each this response. Returns the requests that arrived, and
/// their outcomes.
async fn exchange(
    change: impl FnOnce(&mut OtlpConfig),
    requests: Vec<BufList>,
    response: &str,
) -> (
    Vec<(String, Vec<u8>)>,
    Vec<Result<PartialSuccess, TransportError>>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let mut otlp = otlp(&url, OtlpProtocol::HttpProtobuf);
    change(&mut otlp);
    let transport = Transport::new(Signal::Traces, &otlp);
    let count = requests.len();
    let serve = async {
        let mut peer = listener.accept().await.unwrap().0;
        let mut received = Vec::new();
        for _ in 0..count {
            received.push(read_request(&mut peer).await);
            peer.write_all(response.as_bytes()).await.unwrap();
        }
        received
    };
    let send = async {
        let mut outcomes = Vec::new();
        for request in requests {
            outcomes.push(transport.send(request, soon()).await);
            let (name, value) = key("Bearer renewed");
            transport.set_headers(HeaderMap::from_iter([(name, value)]));
        }
        outcomes
    };
    let both = async { tokio::join!(serve, send) };
    tokio::time::timeout(LONG, both).await.unwrap()
}

#[tokio::test]
async fn http_requests_have_the_headers_of_otlp_and_the_configured_or_renewed_ones() {
    let change = |otlp: &mut OtlpConfig| {
        otlp.headers.extend([key("Bearer old")]);
        let (name, team) = (
            HeaderName::from_static("x-team"),
            HeaderValue::from_static("a"),
        );
        otlp.headers.insert(name, team);
        let mistaken = HeaderValue::from_static("text/plain");
        otlp.headers.insert(header::CONTENT_TYPE, mistaken);
    };
    let response = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n\x0a\0";
    let requests = vec![request(&[b"one"]), request(&[b"two"])];
    let (received, outcomes) = exchange(change, requests, response).await;
    let head = |index: usize| {
        let mut lines: Vec<&str> = received[index].0.trim_end().lines().collect();
        lines.retain(|line| !line.starts_with("host: "));
        lines.sort_unstable();
        lines
    };
    let agent = concat!("user-agent: baton-telemetry/", env!("CARGO_PKG_VERSION"));
    for (index, authorization) in [
        (0, "authorization: Bearer old"),
        (1, "authorization: Bearer renewed"),
    ] {
        let expected = [
            "POST /v1/traces HTTP/1.1",
            authorization,
            "content-length: 3",
            "content-type: application/x-protobuf",
            agent,
            "x-team: a",
        ];
        assert_eq!(head(index), expected);
    }
    for outcome in outcomes {
        assert_eq!(outcome.unwrap(), PartialSuccess::default());
    }
}

#[tokio::test]
async fn a_compressed_request_has_a_content_encoding_and_decompresses_to_the_original() {
    let spans: Vec<u8> = (0..1_000_000_u32)
        .flat_map(|number| (number / 7).to_le_bytes())
        .collect();
    for pieces in [
        vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")],
        vec![
            Bytes::from_static(b"a"),
            spans.clone().into(),
            Bytes::from_static(b"b"),
        ],
        Vec::new(),
    ] {
        let mut request = BufList::default();
        pieces.iter().for_each(|piece| request.push(piece.clone()));
        let length = request.remaining();
        let change = |otlp: &mut OtlpConfig| otlp.compression = OtlpCompression::Gzip;
        let response = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        let (received, outcomes) = exchange(change, vec![request], response).await;
        let (head, body) = &received[0];
        assert!(head.contains("\r\ncontent-encoding: gzip\r\n"), "{head}");
        assert!(length < 1000 || body.len() < length / 2);
        let mut plain = Vec::new();
        GzDecoder::new(body.as_slice())
            .read_to_end(&mut plain)
            .unwrap();
        assert!(plain == pieces.concat());
        assert!(outcomes[0].is_ok());
    }
}

/// Returns the outcome of a request with this response: its class, the seconds until a retry, and
/// whether it is unauthorized.
async fn outcome_of(response: &str) -> (&'static str, Option<u64>, bool) {
    let (_, mut outcomes) = exchange(|_| {}, vec![request(&[b"x"])], response).await;
    match outcomes.remove(0) {
        Ok(_) => ("accepted", None, false),
        Err(error) => {
            let is_unauthorized = error.is_unauthorized();
            match error {
                TransportError::Retryable { retry_after, .. } => (
                    "retryable",
                    retry_after.map(|after| after.as_secs()),
                    is_unauthorized,
                ),
                TransportError::NonRetryable(_) => ("not retryable", None, is_unauthorized),
                TransportError::WrongEndpoint(_) => ("wrong endpoint", None, is_unauthorized),
                other => panic!("{response:?}: {other}"),
            }
        }
    }
}

#[tokio::test]
async fn a_status_determines_whether_and_when_a_request_is_retryable() {
    for (status, more, expected) in [
        ("200 OK", "retry-after: 9\r\n", ("accepted", None, false)),
        ("503 X", "", ("retryable", None, false)),
        ("503 X", "Retry-After: 9\r\n", ("retryable", Some(9), false)),
        (
            "429 X",
            "retry-after: x\r\nretry-after: 7\r\n",
            ("retryable", Some(7), false),
        ),
        (
            "429 X",
            "retry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
            ("retryable", Some(0), false),
        ),
        (
            "503 X",
            "retry-after: 99999999999999999999\r\n",
            ("retryable", Some(MAX_RETRY_AFTER.as_secs()), false),
        ),
        ("502 X", "", ("retryable", None, false)),
        ("504 X", "", ("retryable", None, false)),
        ("401 X", "", ("retryable", None, true)),
        ("403 X", "", ("retryable", None, true)),
        (
            "400 X",
            "retry-after: 9\r\n",
            ("not retryable", None, false),
        ),
        ("413 X", "", ("not retryable", None, false)),
        ("500 X", "", ("not retryable", None, false)),
        ("302 X", "", ("wrong endpoint", None, false)),
        ("304 X", "", ("wrong endpoint", None, false)),
        ("404 X", "", ("wrong endpoint", None, false)),
        ("405 X", "", ("wrong endpoint", None, false)),
        ("415 X", "", ("wrong endpoint", None, false)),
        ("501 X", "", ("wrong endpoint", None, false)),
    ] {
        let response = format!("HTTP/1.1 {status}\r\n{more}content-length: 0\r\n\r\n");
        assert_eq!(outcome_of(&response).await, expected, "{response}");
    }
}

#[tokio::test]
async fn a_timeout_that_overflows_the_clock_is_limited() {
    let mut otlp = otlp("http://127.0.0.1:9", OtlpProtocol::HttpProtobuf);
    otlp.timeout = Duration::MAX;
    let transport = Transport::new(Signal::Traces, &otlp);
    assert!(transport.request_deadline() > soon());
    let now = Instant::now();
    let late = transport.send(BufList::default(), now).await;
    assert!(late.is_err());
}

#[tokio::test]
async fn compression_times_out_at_the_deadline() {
    let mut otlp = otlp("http://127.0.0.1:9", OtlpProtocol::HttpProtobuf);
    otlp.compression = OtlpCompression::Gzip;
    let transport = Transport::new(Signal::Traces, &otlp);
    let mut request = BufList::default();
    request.push(vec![b'x'; 64 * 1024 * 1024].into());
    let late = transport.send(request, Instant::now()).await;
    assert!(matches!(
        late,
        Err(TransportError::Request(RequestError::Timeout))
    ));
}

#[test]
fn debug_output_contains_no_key() {
    for protocol in protocols() {
        let mut otlp = otlp("http://127.0.0.1:9", protocol);
        otlp.headers.extend([key("Bearer secret")]);
        let transport = Transport::new(Signal::Traces, &otlp);
        let shown = format!("{transport:?}");
        let bytes = format!("{:?}", b"secret").replace(['[', ']'], "");
        assert!(
            !shown.contains("secret") && !shown.contains(&bytes),
            "{shown}"
        );
    }
}

/// The protocols that are compiled in.
pub(super) fn protocols() -> impl Iterator<Item = OtlpProtocol> {
    [
        OtlpProtocol::HttpProtobuf,
        #[cfg(feature = "grpc")]
        OtlpProtocol::Grpc,
    ]
    .into_iter()
}
