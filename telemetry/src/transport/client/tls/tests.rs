//! The reduced TLS works with servers, and lacks nothing by accident.

use std::net::SocketAddr;

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const HOST: &str = "collector.test";

#[test]
fn only_chacha20_and_ed25519_are_missing_from_the_provider_of_rustls() {
    let (complete, reduced) = (default_provider(), provider());
    let names = |suites: &[SupportedCipherSuite], without: &str| {
        let names = suites.iter().map(|suite| format!("{:?}", suite.suite()));
        let mut names: Vec<String> = names.filter(|name| !name.contains(without)).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(
        names(&reduced.cipher_suites, "none"),
        names(&complete.cipher_suites, "CHACHA20")
    );
    let groups = |groups: &[&dyn SupportedKxGroup]| -> Vec<_> {
        groups.iter().map(|group| group.name()).collect()
    };
    assert_eq!(groups(&reduced.kx_groups), groups(&complete.kx_groups));
    let schemes = |algorithms: WebPkiSupportedAlgorithms| -> Vec<String> {
        let without = [(SignatureScheme::ED25519, &[][..])];
        let mapping = algorithms.mapping.iter().chain(&without);
        mapping
            .filter(|(scheme, _)| *scheme != SignatureScheme::ED25519)
            .map(|mapping| format!("{mapping:?}"))
            .collect()
    };
    assert_eq!(
        schemes(reduced.signature_verification_algorithms),
        schemes(complete.signature_verification_algorithms)
    );
    assert_eq!(
        reduced.signature_verification_algorithms.all.len() + 1,
        complete.signature_verification_algorithms.all.len()
    );
}

/// Starts a server with a self-signed certificate, which echoes one byte.
async fn echo(
    version: &'static rustls::SupportedProtocolVersion,
    algorithm: &'static rcgen::SignatureAlgorithm,
) -> (SocketAddr, Option<Vec<CertificateDer<'static>>>) {
    let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
    let parameters = rcgen::CertificateParams::new([HOST.to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        while let Ok((tcp, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(tcp).await {
                let mut byte = [0];
                stream.read_exact(&mut byte).await.unwrap();
                stream.write_all(&byte).await.unwrap();
            }
        }
    });
    (address, Some(vec![certificate.der().clone()]))
}

async fn connect(
    address: SocketAddr,
    authorities: Option<Vec<CertificateDer<'static>>>,
    host: &str,
) -> io::Result<u8> {
    let certificates = Certificates {
        authorities,
        client: None,
    };
    let tls = Tls::new(certificates, ApplicationProtocol::Http1);
    let tcp = TcpStream::connect(address).await?;
    let mut stream = match tls.connect(host, tcp).await {
        Ok(stream) => stream,
        Err(RequestError::Tls(error)) => return Err(error),
        Err(other) => panic!("{other}"),
    };
    stream.write_all(&[7]).await?;
    stream.read_u8().await
}

#[tokio::test]
async fn a_client_connects_to_servers_of_both_versions_and_curves() {
    for version in [&TLS12, &TLS13] {
        for algorithm in [
            &rcgen::PKCS_ECDSA_P256_SHA256,
            &rcgen::PKCS_ECDSA_P384_SHA384,
        ] {
            let (address, roots) = echo(version, algorithm).await;
            let echoed = connect(address, roots, HOST).await;
            assert_eq!(echoed.unwrap(), 7, "{version:?} {algorithm:?}");
        }
    }
}

#[tokio::test]
async fn a_server_with_an_invalid_certificate_or_name_receives_nothing() {
    let (address, roots) = echo(&TLS13, &rcgen::PKCS_ECDSA_P256_SHA256).await;
    assert!(connect(address, None, HOST).await.is_err());
    assert!(connect(address, roots, "other.test").await.is_err());
}
