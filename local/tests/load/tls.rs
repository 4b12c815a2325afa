use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::support::load;

struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.tcp.accept().await.unwrap();
            // A client that does not trust the certificate fails.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

#[tokio::test]
async fn https_needs_a_trusted_authority() {
    let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let certificate = signed.cert.der().clone();
    let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let listener = TlsListener {
        tcp: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        acceptor: Arc::new(config).into(),
    };
    let url = format!("https://{}/", listener.tcp.local_addr().unwrap());
    let router = Router::new().fallback(async || StatusCode::ACCEPTED);
    let service = tokio::spawn(async move { axum::serve(listener, router).await });

    let run = load(&url, &["--rate=50", "--duration=200ms"]).await;
    assert_eq!(run.code(), Some(4), "{}", run.stderr());
    assert!(run.stderr().contains("UnknownIssuer"), "{}", run.stderr());

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    let text = STANDARD.encode(&certificate);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    fs::write(&file, pem).unwrap();
    let authority = format!("--ca-certificate={}", file.display());
    let run = load(&url, &["--rate=50", "--duration=200ms", &authority]).await;
    service.abort();
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert_eq!(run.report["requests"]["accepted"], 10);

    fs::write(&file, "no certificate").unwrap();
    let run = load(&url, &[&authority]).await;
    assert_eq!(run.code(), Some(2), "{}", run.stderr());
    assert!(
        run.stderr().contains("contains no certificate"),
        "{}",
        run.stderr()
    );
}
