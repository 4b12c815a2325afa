//! Whatever the peer does, a request ends with its time. Each with a real socket.

use std::future::pending;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::mpsc;
use std::time::Instant as Clock;

use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use super::*;
use crate::transport::tests::tls_server::CertificateAuthority;

/// A request's time.
const BUDGET: Duration = Duration::from_millis(300);
/// How much later the answer may be, on a machine that is busy with something else. Nothing that a
/// peer does takes so long.
const MARGIN: Duration = Duration::from_millis(700);
/// More than a socket's buffers hold when its reader has this much room.
const LONG_REQUEST: usize = 3 * 1024 * 1024;
const SMALL_BUFFER: u32 = 4096;
/// How fast a slow peer is: a hundred bytes would take longer than anybody waits here.
const BETWEEN_BYTES: Duration = Duration::from_millis(20);

/// What the peer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    NeverAnswers,
    NeverReads,
    ByteByByte,
    FullBacklog,
    Refuses,
    /// Closes the connection behind these bytes.
    Says(&'static [u8]),
    ClosesAtOnce,
    UnknownAuthority,
    HangingHandshake,
    NoHandshake,
    UnknownName,
}

/// What becomes of the request, in a word.
fn fate(outcome: Result<PartialSuccess, TransportError>) -> String {
    match outcome {
        Ok(_) => "accepted".to_owned(),
        Err(TransportError::NonRetryable(status)) => format!("refused with {status}"),
        Err(TransportError::Retryable {
            status,
            retry_after,
        }) => match retry_after {
            None => format!("{status}, retryable"),
            Some(after) => format!("{status}, retryable after {after:?}"),
        },
        Err(TransportError::Send(error)) => match error {
            SendError::Timeout => "timeout".to_owned(),
            SendError::Connect(_) => "not connected".to_owned(),
            SendError::Tls(_) => "no TLS".to_owned(),
            SendError::Broken(_) => "broken".to_owned(),
            other => other.to_string(),
        },
        Err(TransportError::WrongEndpoint(wrong)) => wrong.response.to_string(),
        Err(other) => other.to_string(),
    }
}

/// A peer's URL, and what must be kept so that it goes on.
struct Running {
    url: String,
    _tasks: JoinSet<()>,
    _sockets: Vec<TcpStream>,
}

type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Running {
    fn new(scheme: &str, address: SocketAddr) -> Self {
        Self {
            url: format!("{scheme}://{address}/v1/traces"),
            _tasks: JoinSet::new(),
            _sockets: Vec::new(),
        }
    }

    /// Accepts connections, each of which is served so.
    async fn accepting(
        scheme: &str,
        serve: impl Fn(TcpStream) -> Serving + Send + 'static,
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

    /// Accepts nothing, with so many connections waiting that the system drops whatever else comes.
    async fn with_a_full_backlog() -> Self {
        const ENOUGH: usize = 8;
        const UNANSWERED: Duration = Duration::from_millis(200);
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut running = Self::new("http", address);
        let mut is_full = false;
        while !is_full && running._sockets.len() < ENOUGH {
            match tokio::time::timeout(UNANSWERED, TcpStream::connect(address)).await {
                Ok(connected) => running._sockets.push(connected.unwrap()),
                Err(_) => is_full = true,
            }
        }
        assert!(is_full, "the backlog takes more than {ENOUGH} connections");
        running._tasks.spawn(async move {
            let _listener = listener;
            pending().await
        });
        running
    }

    async fn start(peer: Peer, protocol: Protocol) -> Self {
        match peer {
            Peer::NeverAnswers => Self::accepting("http", |stream| Box::pin(swallow(stream))).await,
            Peer::NeverReads => Self::accepting("http", |stream| Box::pin(hold(stream))).await,
            Peer::HangingHandshake => {
                Self::accepting("https", |stream| Box::pin(hold(stream))).await
            }
            Peer::NoHandshake => {
                Self::accepting("https", |stream| Box::pin(say(stream, b"SSH-2.0-x\r\n"))).await
            }
            Peer::ByteByByte => {
                Self::accepting("http", move |stream| Box::pin(dawdle(stream, protocol))).await
            }
            Peer::Says(bytes) => {
                Self::accepting("http", |stream| Box::pin(say(stream, bytes))).await
            }
            Peer::ClosesAtOnce => Self::accepting("http", |_| Box::pin(async {})).await,
            Peer::FullBacklog => Self::with_a_full_backlog().await,
            Peer::Refuses => {
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

async fn swallow(mut stream: TcpStream) {
    let mut bytes = [0; 4096];
    while stream.read(&mut bytes).await.unwrap_or(0) > 0 {}
}

/// Says something, in answer to something.
async fn say(mut stream: TcpStream, bytes: &[u8]) {
    let mut received = [0; 4096];
    assert!(stream.read(&mut received).await.unwrap() > 0);
    stream.write_all(bytes).await.unwrap();
}

/// Never comes to the point: in a header that does not end, or in settings.
async fn dawdle(mut stream: TcpStream, protocol: Protocol) {
    let (begin, again): (&[u8], &[u8]) = match protocol {
        Protocol::HttpProtobuf => (b"HTTP/1.1 200 OK\r\nx: ", b"y"),
        #[cfg(feature = "grpc")]
        Protocol::Grpc => (b"\0\0\0\x04\0\0\0\0\0", b"\0\0\0\x04\0\0\0\0\0"),
    };
    for byte in begin.iter().chain(again.iter().cycle()) {
        if stream.write_all(&[*byte]).await.is_err() {
            return;
        }
        tokio::time::sleep(BETWEEN_BYTES).await;
    }
}

/// Sends a request to a peer, and returns what became of it when that was known in time.
async fn send(peer: Peer, protocol: Protocol) -> String {
    let running = Running::start(peer, protocol).await;
    let transport = Transport::new(Signal::Traces, &otlp(&running.url, protocol));
    let mut request = BufList::default();
    let length = if peer == Peer::NeverReads {
        LONG_REQUEST
    } else {
        1000
    };
    request.push(vec![b'x'; length].into());
    let started = Clock::now();
    let outcome = transport.send(request, Instant::now() + BUDGET).await;
    let taken = started.elapsed();
    assert!(taken < BUDGET + MARGIN, "{peer:?}: {taken:?}");
    fate(outcome)
}

#[tokio::test]
async fn over_http_a_request_ends_in_time_whatever_the_peer_does() {
    const CUT_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-le";
    const CUT_BODY: &[u8] = b"HTTP/1.1 503 X\r\ncontent-length: 9\r\n\r\nx";
    const CUT_SUCCESS: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n\x0a";
    const CUT: &str = "the collector answered 200 OK, but did not acknowledge the request: the connection ended before the body did";
    const CLOSED_SUCCESS: &[u8] = b"HTTP/1.0 200 OK\r\n\r\n";
    const LATER: &[u8] = b"HTTP/1.1 503 X\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
    const BUSY: &[u8] = b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n";
    for (peer, expected) in [
        (Peer::NeverAnswers, "timeout"),
        (Peer::NeverReads, "timeout"),
        (Peer::ByteByByte, "timeout"),
        (Peer::FullBacklog, "timeout"),
        (Peer::Refuses, "not connected"),
        (Peer::Says(BUSY), "503 Service Unavailable, retryable"),
        (
            Peer::Says(LATER),
            "503 Service Unavailable, retryable after 7s",
        ),
        (Peer::Says(CUT_HEAD), "broken"),
        (Peer::Says(CUT_BODY), "503 Service Unavailable, retryable"),
        (Peer::Says(b"SSH-2.0-x\r\n"), "the answer is not HTTP/1.1"),
        (Peer::Says(CUT_SUCCESS), CUT),
        (Peer::Says(CLOSED_SUCCESS), "accepted"),
        (Peer::ClosesAtOnce, "broken"),
        (Peer::UnknownAuthority, "no TLS"),
        (Peer::HangingHandshake, "timeout"),
        (Peer::NoHandshake, "no TLS"),
    ] {
        assert_eq!(
            send(peer, Protocol::HttpProtobuf).await,
            expected,
            "{peer:?}"
        );
    }
}

#[cfg(feature = "grpc")]
#[tokio::test]
async fn over_grpc_a_call_ends_in_time_whatever_the_peer_does() {
    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    // Of a frame with headers for the first call, the first bytes.
    const CUT_HEADERS: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\x09\x01\x04\0\0\0\x01\x88";
    // The preface of the peer's side is missing.
    const HTTP_1: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    for (peer, expected) in [
        (Peer::NeverAnswers, "timeout"),
        (Peer::NeverReads, "timeout"),
        (Peer::ByteByByte, "timeout"),
        (Peer::FullBacklog, "timeout"),
        (Peer::Refuses, "not connected"),
        (Peer::Says(SETTINGS), "broken"),
        (Peer::Says(CUT_HEADERS), "broken"),
        (Peer::Says(HTTP_1), "broken"),
        (Peer::Says(b"SSH-2.0-x\r\n"), "broken"),
        (Peer::ClosesAtOnce, "broken"),
        (Peer::UnknownAuthority, "no TLS"),
        (Peer::HangingHandshake, "timeout"),
        (Peer::NoHandshake, "no TLS"),
    ] {
        assert_eq!(send(peer, Protocol::Grpc).await, expected, "{peer:?}");
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_no_connection() {
    for protocol in protocols() {
        let fate = send(Peer::UnknownName, protocol).await;
        // A resolver without a network may take its time to say so.
        assert!(
            ["not connected", "timeout"].contains(&fate.as_str()),
            "{fate}"
        );
    }
}

#[test]
fn a_resolver_that_does_not_return_is_not_waited_for() {
    // The system's resolver is asked on the runtime's blocking threads. Here the only one of them
    // is busy.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    let (release, released) = mpsc::channel::<()>();
    let busy = runtime.spawn_blocking(move || released.recv().unwrap());
    for protocol in protocols() {
        let fate = runtime.block_on(send(Peer::UnknownName, protocol));
        assert_eq!(fate, "timeout", "{protocol:?}");
    }
    release.send(()).unwrap();
    runtime.block_on(busy).unwrap();
}
