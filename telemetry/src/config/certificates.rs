//! `OTEL_EXPORTER_OTLP_CERTIFICATE`, `…_CLIENT_CERTIFICATE` and `…_CLIENT_KEY`: the trusted
//! authorities, and the certificate of the client.
//!
//! The files are read at start, so that an invalid one is reported then and not by a failed
//! handshake. If the configured authorities cannot be read, nothing is exported, because no others
//! are to be trusted.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use webpki::EndEntityCert;

use super::reader::{InvalidVariable, VariableReader};
use crate::config::Endpoint;

/// Maximum length of a file: four times that of all public authorities. Reading a longer one, which
/// is not a list of certificates, would delay the start.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Length of the end of a public key that identifies it: both coordinates of a P-256 key, most of
/// those of a P-384 key, and the end of an RSA modulus.
const DISTINCTIVE_KEY_BYTES: usize = 64;

const AUTHORITIES_FORM: &str = "a PEM file with the certificates of the trusted authorities";
const CERTIFICATE_FORM: &str =
    "a PEM file with the client's certificate and its intermediate certificates";
const KEY_FORM: &str = "a PEM file with the client's unencrypted private key";
const KEY_OF_CERTIFICATE_FORM: &str = "the private key of the client's certificate";
const CERTIFICATE_MISSING_FORM: &str = "a client certificate for the key";
const KEY_MISSING_FORM: &str = "a client key for the certificate";
const EXPORT_DISABLED: &str = "export is disabled";

/// Certificates for TLS connections to a collector.
#[derive(Debug, Clone, Default)]
pub(crate) struct Certificates {
    /// `None` for the compiled-in root certificates.
    pub(crate) authorities: Option<Vec<CertificateDer<'static>>>,
    pub(crate) client: Option<ClientIdentity>,
}

/// A client's certificate and its key.
#[derive(Clone)]
pub(crate) struct ClientIdentity {
    /// The client's certificate, then those of its issuers.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: Arc<PrivateKeyDer<'static>>,
}

/// Omits the key.
impl fmt::Debug for ClientIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClientIdentity")
            .field("certificates", &self.chain.len())
            .finish_non_exhaustive()
    }
}

/// Names of the variables of one signal: that of the signal, then the one for all signals.
pub(super) struct CertificateVariables {
    pub(super) authorities: [&'static str; 2],
    pub(super) client_certificate: [&'static str; 2],
    pub(super) client_key: [&'static str; 2],
}

/// The reason why a file is invalid. It never contains parts of the file, which may be a key in the
/// place of a certificate.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("a path that does not exist")]
    NotFound,
    #[error("an unreadable file ({0})")]
    Unreadable(io::ErrorKind),
    #[error("a path that is not a file")]
    NotAFile,
    #[error("a file with more than {MAX_FILE_BYTES} bytes")]
    TooLong,
    #[error("an invalid PEM file")]
    InvalidPem,
    #[error("a file without a certificate")]
    NoCertificate,
    #[error("a file whose certificate {0} is invalid")]
    Certificate(usize),
    #[error("a file without a private key")]
    NoKey,
}

/// Reads the certificates for the endpoint. Returns `None` if a file is invalid.
pub(super) fn read(
    reader: &mut VariableReader<'_>,
    names: &CertificateVariables,
    endpoint: &Endpoint,
) -> Option<Certificates> {
    if !endpoint.tls {
        report_unused(reader, names);
        return Some(Certificates::default());
    }
    let authorities = authorities(reader, names.authorities);
    let client = client(reader, names);
    Some(Certificates {
        authorities: authorities.ok()?,
        client: client.ok()?,
    })
}

/// Reports certificates for an endpoint without TLS, where they do not protect anything.
fn report_unused(reader: &mut VariableReader<'_>, names: &CertificateVariables) {
    for names in [
        names.authorities,
        names.client_certificate,
        names.client_key,
    ] {
        let name = reader.first_set(names);
        if reader.text(name).is_some() {
            let form = "an https endpoint";
            let found = "one without TLS".to_owned();
            reader.secret_problem(name, found, form, "the file is not used");
        }
    }
}

fn authorities(
    reader: &mut VariableReader<'_>,
    names: [&'static str; 2],
) -> Result<Option<Vec<CertificateDer<'static>>>, InvalidVariable> {
    let name = reader.first_set(names);
    let read = |path: &str| {
        let certificates = certificates(&read_file(path)?)?;
        for (index, certificate) in certificates.iter().enumerate() {
            // A valid PEM block may contain something other than a certificate.
            webpki::anchor_from_trusted_cert(certificate)
                .map_err(|_| FileError::Certificate(index + 1))?;
        }
        Ok(certificates)
    };
    read_variable(reader, name, AUTHORITIES_FORM, read)
}

fn client(
    reader: &mut VariableReader<'_>,
    names: &CertificateVariables,
) -> Result<Option<ClientIdentity>, InvalidVariable> {
    let [certificate, key] = [names.client_certificate, names.client_key];
    let [certificate, key] = [reader.first_set(certificate), reader.first_set(key)];
    let chain = read_variable(reader, certificate, CERTIFICATE_FORM, |path| {
        let chain = certificates(&read_file(path)?)?;
        for (index, certificate) in chain.iter().enumerate() {
            EndEntityCert::try_from(certificate).map_err(|_| FileError::Certificate(index + 1))?;
        }
        Ok(chain)
    });
    let private = read_variable(reader, key, KEY_FORM, |path| private_key(&read_file(path)?));
    let (variable, form, found) = match (chain?, private?) {
        (None, None) => return Ok(None),
        (Some(chain), Some(private)) if is_key_of(&private, &chain) => {
            let key = Arc::new(private);
            return Ok(Some(ClientIdentity { chain, key }));
        }
        (Some(_), Some(_)) => (
            key,
            KEY_OF_CERTIFICATE_FORM,
            "the key of another certificate",
        ),
        (None, Some(_)) => (certificate, CERTIFICATE_MISSING_FORM, "none"),
        (Some(_), None) => (key, KEY_MISSING_FORM, "none"),
    };
    reader.secret_problem(variable, found.to_owned(), form, EXPORT_DISABLED);
    Err(InvalidVariable)
}

/// Returns `true` if the key is that of the first certificate. The encoding of a private RSA or
/// ECDSA key contains the public key with the same bytes as the certificate, so that no computation
/// is needed.
fn is_key_of(key: &PrivateKeyDer<'_>, chain: &[CertificateDer<'_>]) -> bool {
    let certificate = chain.first().map(EndEntityCert::try_from);
    let Some(Ok(certificate)) = certificate else {
        return false;
    };
    let public = certificate.subject_public_key_info();
    let Some(public) = public.last_chunk::<DISTINCTIVE_KEY_BYTES>() else {
        return true;
    };
    let mut places = key.secret_der().windows(DISTINCTIVE_KEY_BYTES);
    places.any(|bytes| bytes == public)
}

/// Reads the file that the variable names, if it is set.
fn read_variable<T>(
    reader: &mut VariableReader<'_>,
    name: &'static str,
    form: &'static str,
    read: impl FnOnce(&str) -> Result<T, FileError>,
) -> Result<Option<T>, InvalidVariable> {
    let Some(path) = reader.text(name) else {
        return Ok(None);
    };
    read(&path).map(Some).map_err(|error| {
        // The path is not logged, because the variable may hold the text of a key instead.
        reader.secret_problem(name, error.to_string(), form, EXPORT_DISABLED);
        InvalidVariable
    })
}

fn read_file(path: &str) -> Result<Vec<u8>, FileError> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => FileError::NotFound,
        kind => FileError::Unreadable(kind),
    };
    // Reading a pipe would block the start.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(FileError::NotAFile);
    }
    let mut bytes = Vec::new();
    let mut file = File::open(path)
        .map_err(unreadable)?
        .take(MAX_FILE_BYTES + 1);
    let length = file.read_to_end(&mut bytes).map_err(unreadable)?;
    match u64::try_from(length) {
        Ok(length) if length <= MAX_FILE_BYTES => Ok(bytes),
        _ => Err(FileError::TooLong),
    }
}

fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let certificates: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(bytes).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(FileError::NoCertificate),
        Ok(certificates) => Ok(certificates),
        Err(_) => Err(FileError::InvalidPem),
    }
}

fn private_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, FileError> {
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => FileError::NoKey,
        _ => FileError::InvalidPem,
    })
}

#[cfg(test)]
mod tests;
