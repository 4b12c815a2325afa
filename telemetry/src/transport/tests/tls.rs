//! Certificates: of servers that a transport trusts, and its own.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use super::*;
use crate::config::{Certificates, ClientIdentity};
use crate::transport::tests::tls_server::CertificateAuthority;

/// Sends a request to a server of this authority. With `true`, the server requires a client
/// certificate.
async fn send(
    protocol: OtlpProtocol,
    (authority, requires_client_certificate): (&CertificateAuthority, bool),
    certificates: Certificates,
) -> Result<PartialSuccess, TransportError> {
    let (address, _server) = authority
        .collector(protocol, requires_client_certificate)
        .await;
    let mut otlp = otlp(&format!("https://{address}/v1/traces"), protocol);
    otlp.certificates = certificates;
    let transport = Transport::new(Signal::Traces, &otlp);
    transport.send(request(&[b"x"]), soon()).await
}

fn trusting(authority: &CertificateAuthority, client: Option<ClientIdentity>) -> Certificates {
    Certificates {
        authorities: Some(vec![authority.certificate()]),
        client,
    }
}

fn is_tls(outcome: &Result<PartialSuccess, TransportError>) -> bool {
    matches!(outcome, Err(TransportError::Request(RequestError::Tls(_))))
}

#[tokio::test]
async fn only_the_configured_authority_is_trusted() {
    let (ours, other) = (CertificateAuthority::new(), CertificateAuthority::new());
    for protocol in protocols() {
        let trusted = send(protocol, (&ours, false), trusting(&ours, None)).await;
        assert!(trusted.is_ok(), "{protocol:?}: {trusted:?}");
        let compiled_in = send(protocol, (&ours, false), Certificates::default()).await;
        assert!(is_tls(&compiled_in), "{protocol:?}: {compiled_in:?}");
        let unknown = send(protocol, (&ours, false), trusting(&other, None)).await;
        assert!(is_tls(&unknown), "{protocol:?}: {unknown:?}");
    }
}

#[tokio::test]
async fn a_client_presents_its_certificate_if_the_server_requires_one() {
    let (ours, other) = (CertificateAuthority::new(), CertificateAuthority::new());
    for protocol in protocols() {
        let known = trusting(&ours, Some(ours.client_identity()));
        let known = send(protocol, (&ours, true), known).await;
        assert!(known.is_ok(), "{protocol:?}: {known:?}");
        for client in [None, Some(other.client_identity())] {
            let unknown = send(protocol, (&ours, true), trusting(&ours, client)).await;
            // With TLS 1.3 the server rejects the certificate after the handshake.
            assert!(unknown.is_err(), "{protocol:?}");
        }
    }
}

#[tokio::test]
async fn unusable_authorities_and_the_key_of_another_certificate_are_errors() {
    let authority = CertificateAuthority::new();
    let nonsense = Certificates {
        authorities: Some(vec![CertificateDer::from(vec![1, 2, 3])]),
        client: None,
    };
    let mut identity = authority.client_identity();
    identity.key = Arc::clone(&authority.client_identity().key);
    for (certificates, expected) in [
        (
            nonsense,
            "none of the configured authorities has a usable certificate",
        ),
        (trusting(&authority, Some(identity)), "KeyMismatch"),
    ] {
        let outcome = send(
            OtlpProtocol::HttpProtobuf,
            (&authority, false),
            certificates,
        )
        .await;
        let Err(TransportError::Request(RequestError::Tls(error))) = outcome else {
            panic!("{expected}: {outcome:?}")
        };
        assert!(error.to_string().contains(expected), "{error}");
    }
}
