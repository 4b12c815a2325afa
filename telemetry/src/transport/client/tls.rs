//! TLS with compiled-in root certificates, reduced to what a client needs.

use std::sync::{Arc, OnceLock};
use std::{fmt, io};

use rustls::crypto::ring::sign::{RsaSigningKey, any_ecdsa_type};
use rustls::crypto::ring::{cipher_suite, kx_group};
use rustls::crypto::{
    CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, SupportedKxGroup,
    WebPkiSupportedAlgorithms,
};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::sign::SigningKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme, SupportedCipherSuite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use webpki::ring as algorithm;

use super::RequestError;
use crate::config::Certificates;

/// The protocol inside TLS, negotiated with ALPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApplicationProtocol {
    /// The default of servers. It is not sent.
    Http1,
    #[cfg(feature = "grpc")]
    Http2,
}

impl ApplicationProtocol {
    fn names(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http1 => Vec::new(),
            #[cfg(feature = "grpc")]
            Self::Http2 => vec![b"h2".to_vec()],
        }
    }
}

/// TLS client. Its configuration is created at the first use, because reading certificates would
/// add milliseconds to every cold start.
pub(crate) struct Tls {
    certificates: Certificates,
    protocol: ApplicationProtocol,
    connector: OnceLock<TlsConnector>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    pub(crate) fn new(certificates: Certificates, protocol: ApplicationProtocol) -> Self {
        Self {
            certificates,
            protocol,
            connector: OnceLock::new(),
        }
    }

    pub(super) async fn connect(
        &self,
        host: &str,
        tcp: TcpStream,
    ) -> Result<TlsStream<TcpStream>, RequestError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| RequestError::ServerName)?;
        let connector = match self.connector.get() {
            Some(connector) => connector,
            None => {
                let config = self.config().map_err(RequestError::Tls)?;
                self.connector
                    .get_or_init(|| TlsConnector::from(Arc::new(config)))
            }
        };
        connector
            .connect(name, tcp)
            .await
            .map_err(RequestError::Tls)
    }

    fn config(&self) -> io::Result<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(self.roots()?);
        let mut config = match &self.certificates.client {
            None => builder.with_no_client_auth(),
            Some(client) => builder
                .with_client_auth_cert(client.chain.clone(), client.key.clone_key())
                .map_err(io::Error::other)?,
        };
        config.alpn_protocols = self.protocol.names();
        Ok(config)
    }

    /// Returns the trusted authorities: the configured ones, or else the compiled-in ones. They are
    /// not combined, because a configured authority is meant to be the only one.
    fn roots(&self) -> io::Result<RootCertStore> {
        let Some(authorities) = &self.certificates.authorities else {
            let compiled_in = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
            return Ok(RootCertStore::from_iter(compiled_in));
        };
        let mut roots = RootCertStore::empty();
        // A bundle may contain certificates that cannot be used.
        let (usable, _) = roots.add_parsable_certificates(authorities.iter().cloned());
        match usable {
            0 => Err(io::Error::other(
                "none of the configured authorities has a usable certificate",
            )),
            _ => Ok(roots),
        }
    }
}

/// The parts of rustls' own provider that a client here can use. The rest would add 118 KB to the
/// function: ChaCha20-Poly1305 (every TLS 1.3 peer supports AES-GCM, RFC 8446, section 9.1, for
/// which Lambda's processors have instructions) and Ed25519 (no public certificate authority signs
/// with it).
fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: CIPHER_SUITES.to_vec(),
        kx_groups: KEY_EXCHANGE_GROUPS.to_vec(),
        signature_verification_algorithms: SIGNATURE_ALGORITHMS,
        secure_random: &RingRandom,
        key_provider: &ClientKeys,
    }
}

static CIPHER_SUITES: [SupportedCipherSuite; 6] = [
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
];

static KEY_EXCHANGE_GROUPS: [&dyn SupportedKxGroup; 3] =
    [kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];

/// The algorithms of rustls' provider, without Ed25519. With TLS 1.2 a scheme does not determine
/// the curve.
static SIGNATURE_ALGORITHMS: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        algorithm::ECDSA_P256_SHA256,
        algorithm::ECDSA_P256_SHA384,
        algorithm::ECDSA_P384_SHA256,
        algorithm::ECDSA_P384_SHA384,
        algorithm::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        algorithm::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        algorithm::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
        algorithm::RSA_PKCS1_2048_8192_SHA256,
        algorithm::RSA_PKCS1_2048_8192_SHA384,
        algorithm::RSA_PKCS1_2048_8192_SHA512,
        algorithm::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
        algorithm::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
        algorithm::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
    ],
    mapping: &[
        (
            SignatureScheme::ECDSA_NISTP384_SHA384,
            &[algorithm::ECDSA_P384_SHA384, algorithm::ECDSA_P256_SHA384],
        ),
        (
            SignatureScheme::ECDSA_NISTP256_SHA256,
            &[algorithm::ECDSA_P256_SHA256, algorithm::ECDSA_P384_SHA256],
        ),
        (
            SignatureScheme::RSA_PSS_SHA512,
            &[algorithm::RSA_PSS_2048_8192_SHA512_LEGACY_KEY],
        ),
        (
            SignatureScheme::RSA_PSS_SHA384,
            &[algorithm::RSA_PSS_2048_8192_SHA384_LEGACY_KEY],
        ),
        (
            SignatureScheme::RSA_PSS_SHA256,
            &[algorithm::RSA_PSS_2048_8192_SHA256_LEGACY_KEY],
        ),
        (
            SignatureScheme::RSA_PKCS1_SHA512,
            &[algorithm::RSA_PKCS1_2048_8192_SHA512],
        ),
        (
            SignatureScheme::RSA_PKCS1_SHA384,
            &[algorithm::RSA_PKCS1_2048_8192_SHA384],
        ),
        (
            SignatureScheme::RSA_PKCS1_SHA256,
            &[algorithm::RSA_PKCS1_2048_8192_SHA256],
        ),
    ],
};

/// Random numbers of the operating system.
#[derive(Debug)]
struct RingRandom;

impl SecureRandom for RingRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        let random = ring::rand::SystemRandom::new();
        ring::rand::SecureRandom::fill(&random, bytes).map_err(|_| GetRandomFailed)
    }
}

/// Loads the private keys of client certificates: RSA and ECDSA.
#[derive(Debug)]
struct ClientKeys;

impl KeyProvider for ClientKeys {
    fn load_private_key(
        &self,
        key: PrivateKeyDer<'static>,
    ) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        match RsaSigningKey::new(&key) {
            Ok(rsa) => Ok(Arc::new(rsa)),
            Err(_) => any_ecdsa_type(&key),
        }
    }
}

#[cfg(test)]
mod tests;
