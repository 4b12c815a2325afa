//! Collectors with TLS, and the authority that signs their certificates.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;
use crate::config::ClientIdentity;

/// Signs certificates for servers on 127.0.0.1 and for clients.
pub(in crate::transport) struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl CertificateAuthority {
    pub(in crate::transport) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap().der().clone();
        Self {
            issuer: Issuer::new(parameters, key),
            certificate,
        }
    }

    pub(in crate::transport) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    pub(in crate::transport) fn client_identity(&self) -> ClientIdentity {
        let (chain, key) = self.sign("client.test");
        ClientIdentity {
            chain,
            key: Arc::new(key),
        }
    }

    fn sign(&self, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        (vec![certificate.der().clone()], key)
    }

    /// Starts a collector that accepts every request, until the returned tasks are dropped. A gRPC
    /// client must have negotiated HTTP/2.
    pub(in crate::transport) async fn collector(
        &self,
        protocol: OtlpProtocol,
        requires_client_certificate: bool,
    ) -> (SocketAddr, JoinSet<()>) {
        let acceptor = TlsAcceptor::from(Arc::new(
            self.server_config(protocol, requires_client_certificate),
        ));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                if let Ok(stream) = acceptor.accept(tcp).await {
                    connections.spawn(serve(protocol, stream));
                }
            }
        });
        (address, server)
    }

    fn server_config(
        &self,
        protocol: OtlpProtocol,
        requires_client_certificate: bool,
    ) -> ServerConfig {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if requires_client_certificate {
            let mut roots = RootCertStore::empty();
            roots.add(self.certificate()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let (chain, key) = self.sign("127.0.0.1");
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = match protocol {
            OtlpProtocol::HttpProtobuf => vec![b"http/1.1".to_vec()],
            #[cfg(feature = "grpc")]
            OtlpProtocol::Grpc => vec![b"h2".to_vec()],
        };
        config
    }
}

async fn serve(protocol: OtlpProtocol, mut stream: TlsStream<TcpStream>) {
    match protocol {
        OtlpProtocol::HttpProtobuf => {
            let mut received = Vec::new();
            // The body of these tests is one byte.
            while !received.windows(5).any(|end| end.starts_with(b"\r\n\r\n")) {
                if stream.read_buf(&mut received).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            let response = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(response).await.unwrap();
        }
        #[cfg(feature = "grpc")]
        OtlpProtocol::Grpc => {
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            grpc_server::serve(stream, Arc::default()).await;
        }
    }
}
