//! Every request ends at its deadline, for every behaviour of the peer. Each test uses a real
//! socket.

use std::future::pending;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::mpsc;
use std::time::Instant as Clock;

use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use super::*;
use crate::transport::tests::tls_server::CertificateAuthority;

/// Time from sending a request to its deadline.
const TIME_LEFT: Duration = Duration::from_millis(300);
/// Tolerance for a busy machine. No behaviour of a peer takes this long.
const TOLERANCE: Duration = Duration::from_millis(700);
/// More than the buffers of a socket with a small receive buffer hold.
const LONG_REQUEST: usize = 3 * 1024 * 1024;
const SMALL_BUFFER: u32 = 4096;
/// Pause of a slow peer between two bytes. A hundred bytes take longer than any test waits.
const BYTE_INTERVAL: Duration = Duration::from_millis(20);

/// Behaviour of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    NeverResponds,
    NeverReads,
    SendsByteByByte,
    FullBacklog,
    RefusesConnections,
    /// Responds with these bytes and closes the connection.
    RespondsAndCloses(&'static [u8]),
    ClosesImmediately,
    UnknownAuthority,
    HangingHandshake,
    NoHandshake,
    UnknownName,
}

/// A short description of an outcome.
fn describe(outcome: Result<PartialSuccess, TransportError>) -> String {
    match outcome {
        Ok(_) => "accepted".to_owned(),
        Err(TransportError::NonRetryable(status)) => format!("rejected with {status}"),
        Err(TransportError::Retryable {
            status,
            retry_after,
        }) => match retry_after {
            None => format!("{status}, retryable"),
            Some(after) => format!("{status}, retryable after {after:?}"),
        },
        Err(TransportError::Request(error)) => match error {
            RequestError::Timeout => "timeout".to_owned(),
            RequestError::Connect(_) => "not connected".to_owned(),
            RequestError::Tls(_) => "no TLS".to_owned(),
            RequestError::Broken(_) => "broken".to_owned(),
            other => other.to_string(),
        },
        Err(TransportError::WrongEndpoint(wrong)) => wrong.response.to_string(),
        Err(other) => other.to_string(),
    }
}

/// A peer that runs until this is dropped, and its URL.
struct RunningPeer {
    url: String,
    _tasks: JoinSet<()>,
    _sockets: Vec<TcpStream>,
}

type ServeFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

impl RunningPeer {
    fn new(scheme: &str, address: SocketAddr) -> Self {
        Self {
            url: format!("{scheme}://{address}/v1/traces"),
            _tasks: JoinSet::new(),
            _sockets: Vec::new(),
        }
    }

    /// Serves each connection with `serve`.
    async fn accept(
        scheme: &str,
        serve: impl Fn(TcpStream) -> ServeFuture + Send + 'static,
    ) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(SMALL_BUFFER).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(128).unwrap();
        let mut running = Self::new(scheme, listener.local_addr().unwrap());
        running._tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream));
            }
        });
        running
    }

    /// Accepts no connection. Its backlog is full, so the system drops further connections.
    async fn fill_backlog() -> Self {
        const MAX_CONNECTIONS: usize = 8;
        const CONNECT_TIMEOUT: Duration = Duration::from_millis(200);
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut running = Self::new("http", address);
        let mut is_full = false;
        while !is_full && running._sockets.len() < MAX_CONNECTIONS {
            match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(connected) => running._sockets.push(connected.unwrap()),
                Err(_) => is_full = true,
            }
        }
        assert!(
            is_full,
            "the backlog takes more than {MAX_CONNECTIONS} connections"
        );
        running._tasks.spawn(async move {
            let _listener = listener;
            pending().await
        });
        running
    }

    async fn start(peer: Peer, protocol: OtlpProtocol) -> Self {
        match peer {
            Peer::NeverResponds => Self::accept("http", |stream| Box::pin(read_only(stream))).await,
            Peer::NeverReads => Self::accept("http", |stream| Box::pin(hold(stream))).await,
            Peer::HangingHandshake => Self::accept("https", |stream| Box::pin(hold(stream))).await,
            Peer::NoHandshake => {
                Self::accept("https", |stream| {
                    Box::pin(respond(stream, b"SSH-2.0-x\r\n"))
                })
                .await
            }
            Peer::SendsByteByByte => {
                Self::accept("http", move |stream| {
                    Box::pin(send_endlessly(stream, protocol))
                })
                .await
            }
            Peer::RespondsAndCloses(bytes) => {
                Self::accept("http", |stream| Box::pin(respond(stream, bytes))).await
            }
            Peer::ClosesImmediately => Self::accept("http", |_| Box::pin(async {})).await,
            Peer::FullBacklog => Self::fill_backlog().await,
            Peer::RefusesConnections => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                Self::new("http", listener.local_addr().unwrap())
            }
            Peer::UnknownAuthority => {
                let (address, tasks) = CertificateAuthority::new().collector(protocol, false).await;
                Self {
                    _tasks: tasks,
                    ..Self::new("https", address)
                }
            }
            Peer::UnknownName => {
                let mut running = Self::new("http", ([127, 0, 0, 1], 9).into());
                running.url = "http://collector.invalid:4318".to_owned();
                running
            }
        }
    }
}

async fn hold(stream: TcpStream) {
    let _stream = stream;
    pending().await
}

async fn read_only(mut stream: TcpStream) {
    let mut bytes = [0; 4096];
    while stream.read(&mut bytes).await.unwrap_or(0) > 0 {}
}

/// Responds to the first bytes with `bytes`.
async fn respond(mut stream: TcpStream, bytes: &[u8]) {
    let mut received = [0; 4096];
    assert!(stream.read(&mut received).await.unwrap() > 0);
    stream.write_all(bytes).await.unwrap();
}

/// Sends a header or settings frames without an end.
async fn send_endlessly(mut stream: TcpStream, protocol: OtlpProtocol) {
    let (begin, again): (&[u8], &[u8]) = match protocol {
        OtlpProtocol::HttpProtobuf => (b"HTTP/1.1 200 OK\r\nx: ", b"y"),
        #[cfg(feature = "grpc")]
        OtlpProtocol::Grpc => (b"\0\0\0\x04\0\0\0\0\0", b"\0\0\0\x04\0\0\0\0\0"),
    };
    for byte in begin.iter().chain(again.iter().cycle()) {
        if stream.write_all(&[*byte]).await.is_err() {
            return;
        }
        tokio::time::sleep(BYTE_INTERVAL).await;
    }
}

/// Sends a request to a peer and describes the outcome. Panics if the request takes too long.
async fn send(peer: Peer, protocol: OtlpProtocol) -> String {
    let running = RunningPeer::start(peer, protocol).await;
    let transport = Transport::new(Signal::Traces, &otlp(&running.url, protocol));
    let mut request = BufList::default();
    let length = if peer == Peer::NeverReads {
        LONG_REQUEST
    } else {
        1000
    };
    request.push(vec![b'x'; length].into());
    let started = Clock::now();
    let outcome = transport.send(request, Instant::now() + TIME_LEFT).await;
    let elapsed = started.elapsed();
    assert!(elapsed < TIME_LEFT + TOLERANCE, "{peer:?}: {elapsed:?}");
    describe(outcome)
}

#[tokio::test]
async fn an_http_request_ends_at_its_deadline_for_every_peer() {
    const CUT_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-le";
    const CUT_BODY: &[u8] = b"HTTP/1.1 503 X\r\ncontent-length: 9\r\n\r\nx";
    const CUT_SUCCESS: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n\x0a";
    const TRUNCATED: &str = "the collector responded with 200 OK, but did not acknowledge the request: the connection closed before the end of the body";
    const CLOSED_SUCCESS: &[u8] = b"HTTP/1.0 200 OK\r\n\r\n";
    const LATER: &[u8] = b"HTTP/1.1 503 X\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
    const BUSY: &[u8] = b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n";
    for (peer, expected) in [
        (Peer::NeverResponds, "timeout"),
        (Peer::NeverReads, "timeout"),
        (Peer::SendsByteByByte, "timeout"),
        (Peer::FullBacklog, "timeout"),
        (Peer::RefusesConnections, "not connected"),
        (
            Peer::RespondsAndCloses(BUSY),
            "503 Service Unavailable, retryable",
        ),
        (
            Peer::RespondsAndCloses(LATER),
            "503 Service Unavailable, retryable after 7s",
        ),
        (Peer::RespondsAndCloses(CUT_HEAD), "broken"),
        (
            Peer::RespondsAndCloses(CUT_BODY),
            "503 Service Unavailable, retryable",
        ),
        (
            Peer::RespondsAndCloses(b"SSH-2.0-x\r\n"),
            "the response is not HTTP/1.1",
        ),
        (Peer::RespondsAndCloses(CUT_SUCCESS), TRUNCATED),
        (Peer::RespondsAndCloses(CLOSED_SUCCESS), "accepted"),
        (Peer::ClosesImmediately, "broken"),
        (Peer::UnknownAuthority, "no TLS"),
        (Peer::HangingHandshake, "timeout"),
        (Peer::NoHandshake, "no TLS"),
    ] {
        assert_eq!(
            send(peer, OtlpProtocol::HttpProtobuf).await,
            expected,
            "{peer:?}"
        );
    }
}

#[cfg(feature = "grpc")]
#[tokio::test]
async fn a_grpc_call_ends_at_its_deadline_for_every_peer() {
    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    // The first bytes of a HEADERS frame of the first call.
    const CUT_HEADERS: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\x09\x01\x04\0\0\0\x01\x88";
    // A response without the HTTP/2 server preface.
    const HTTP_1: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    for (peer, expected) in [
        (Peer::NeverResponds, "timeout"),
        (Peer::NeverReads, "timeout"),
        (Peer::SendsByteByByte, "timeout"),
        (Peer::FullBacklog, "timeout"),
        (Peer::RefusesConnections, "not connected"),
        (Peer::RespondsAndCloses(SETTINGS), "broken"),
        (Peer::RespondsAndCloses(CUT_HEADERS), "broken"),
        (Peer::RespondsAndCloses(HTTP_1), "broken"),
        (Peer::RespondsAndCloses(b"SSH-2.0-x\r\n"), "broken"),
        (Peer::ClosesImmediately, "broken"),
        (Peer::UnknownAuthority, "no TLS"),
        (Peer::HangingHandshake, "timeout"),
        (Peer::NoHandshake, "no TLS"),
    ] {
        assert_eq!(send(peer, OtlpProtocol::Grpc).await, expected, "{peer:?}");
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_connection_error() {
    for protocol in protocols() {
        let outcome = send(Peer::UnknownName, protocol).await;
        // Without a network, a resolver may time out instead.
        assert!(
            ["not connected", "timeout"].contains(&outcome.as_str()),
            "{outcome}"
        );
    }
}

#[test]
fn a_request_does_not_wait_for_a_hanging_resolver() {
    // The system's resolver runs on the runtime's blocking threads. Here the only one is busy.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    let (release, released) = mpsc::channel::<()>();
    let busy = runtime.spawn_blocking(move || released.recv().unwrap());
    for protocol in protocols() {
        let outcome = runtime.block_on(send(Peer::UnknownName, protocol));
        assert_eq!(outcome, "timeout", "{protocol:?}");
    }
    release.send(()).unwrap();
    runtime.block_on(busy).unwrap();
}
