//! The connector, and the certificate authorities that it trusts.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// Certificate authorities from a PEM file.
#[derive(Clone)]
pub(crate) struct Authorities(Arc<RootCertStore>);

/// Error in reading certificate authorities.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthoritiesError {
    /// The file cannot be read, or is not PEM.
    #[error("cannot read {}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    /// The file has no certificate.
    #[error("{} contains no certificate", path.display())]
    Empty { path: PathBuf },
}

impl Authorities {
    /// Reads a PEM file with one or more certificates.
    pub(crate) fn read(path: &Path) -> Result<Self, AuthoritiesError> {
        let failed = |reason: String| AuthoritiesError::File {
            path: path.to_owned(),
            reason,
        };
        let certificates =
            CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
        let mut store = RootCertStore::empty();
        for certificate in certificates {
            let certificate = certificate.map_err(|error| failed(error.to_string()))?;
            store
                .add(certificate)
                .map_err(|error| failed(error.to_string()))?;
        }
        if store.is_empty() {
            return Err(AuthoritiesError::Empty {
                path: path.to_owned(),
            });
        }
        Ok(Self(Arc::new(store)))
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Authorities({})", self.0.len())
    }
}

/// Returns a connector for `http` and `https`. Without authorities, it trusts Mozilla's.
pub(super) fn connector(authorities: Option<&Authorities>) -> HttpsConnector<HttpConnector> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    let builder = HttpsConnectorBuilder::new();
    let builder = match authorities {
        Some(Authorities(store)) => builder.with_tls_config(
            ClientConfig::builder()
                .with_root_certificates(Arc::clone(store))
                .with_no_client_auth(),
        ),
        None => builder.with_webpki_roots(),
    };
    builder.https_or_http().enable_http1().wrap_connector(http)
}
