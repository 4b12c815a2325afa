//! Collectors behind a proxy, over each protocol. The proxy listens on a real socket and opens
//! tunnels.

use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::task::JoinSet;

use super::*;
use crate::config::{Certificates, Proxy};
use crate::error_chain::ErrorChain;
use crate::transport::tests::tls_server::CertificateAuthority;

/// A proxy on loopback that runs until this is dropped.
struct FakeProxy {
    url: String,
    /// Heads of the requests received.
    heads: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl FakeProxy {
    /// Responds to `CONNECT` with `response`, and opens the tunnel if it is a success.
    async fn start(response: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://user:pass@{}", listener.local_addr().unwrap());
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&heads);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(tunnel(stream, response, Arc::clone(&seen)));
            }
        });
        Self {
            url,
            heads,
            _tasks: tasks,
        }
    }
}

async fn tunnel(mut client: TcpStream, response: &'static str, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    heads.lock().unwrap().push(head);
    client.write_all(response.as_bytes()).await.unwrap();
    if response.starts_with("HTTP/1.1 200") {
        let mut server = TcpStream::connect(target).await.unwrap();
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}

/// Sends a request to a collector with TLS through a proxy. Also returns the collector's address.
async fn send(
    protocol: OtlpProtocol,
    proxy: &str,
) -> (String, Result<PartialSuccess, TransportError>) {
    let authority = CertificateAuthority::new();
    let (address, _server) = authority.collector(protocol, false).await;
    let mut otlp = otlp(&format!("https://{address}/v1/traces"), protocol);
    otlp.certificates = Certificates {
        authorities: Some(vec![authority.certificate()]),
        client: None,
    };
    otlp.proxy = Some(Proxy::parse(proxy).unwrap());
    let transport = Transport::new(Signal::Traces, &otlp);
    let outcome = transport.send(request(&[b"x"]), soon()).await;
    (address.to_string(), outcome)
}

#[tokio::test]
async fn a_tunnel_is_requested_with_the_credentials_of_the_proxy() {
    for protocol in protocols() {
        let proxy = FakeProxy::start("HTTP/1.1 200 Connection established\r\n\r\n").await;
        let (address, outcome) = send(protocol, &proxy.url).await;
        assert!(outcome.is_ok(), "{protocol:?}: {outcome:?}");
        let expected = format!(
            "CONNECT {address} HTTP/1.1\r\nhost: {address}\r\nproxy-authorization: Basic dXNlcjpwYXNz\r\n\r\n"
        );
        assert_eq!(*proxy.heads.lock().unwrap(), [expected], "{protocol:?}");
    }
}

#[tokio::test]
async fn the_error_names_a_proxy_that_opens_no_tunnel() {
    for (response, expected) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n",
            "the proxy PROXY rejected the connection to the collector: 407 Proxy Authentication Required",
        ),
        (
            "SSH-2.0-x\r\n",
            "the response of the proxy PROXY is not HTTP/1.1",
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\nunasked",
            "the response of the proxy PROXY is not HTTP/1.1",
        ),
    ] {
        let proxy = FakeProxy::start(response).await;
        let (_, outcome) = send(OtlpProtocol::HttpProtobuf, &proxy.url).await;
        let error = ErrorChain::new(&outcome.unwrap_err()).to_text();
        let address = proxy.url.strip_prefix("http://user:pass@").unwrap();
        let expected = expected.replace("PROXY", address);
        assert_eq!(error, format!("the request failed: {expected}"));
    }
}

#[tokio::test]
async fn the_error_names_a_proxy_that_is_down() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (_, outcome) = send(OtlpProtocol::HttpProtobuf, &url).await;
    let error = ErrorChain::new(&outcome.unwrap_err()).to_text();
    let address = url.strip_prefix("http://").unwrap();
    let expected = format!("the request failed: cannot connect to the proxy {address}: ");
    assert!(error.starts_with(&expected), "{error}");
}
