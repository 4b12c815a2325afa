//! `OTEL_EXPORTER_OTLP_CERTIFICATE` and its like: whom the exporter trusts, and what it identifies
//! itself with.
//!
//! The files are read at the start: one that is wrong is told then, and not by a handshake that
//! fails. Whoever names an authority wants no other to be trusted, so where it cannot be had,
//! nothing is exported.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use webpki::EndEntityCert;

use super::reader::Reader;
use crate::config::Endpoint;

/// All public authorities together are a quarter of this. What is longer is no list of
/// certificates, and would be the start's delay.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The end of a public key that no other key has: both coordinates of a P-256 key, most of a P-384
/// one's, and the end of an RSA modulus.
const DISTINCTIVE_KEY_BYTES: usize = 64;

const AUTHORITIES_FORM: &str = "a PEM file with the certificates of the authorities to trust";
const CERTIFICATE_FORM: &str =
    "a PEM file with the client's certificate, and those up to its authority";
const KEY_FORM: &str = "a PEM file with the client's private key, unencrypted";
const KEY_OF_CERTIFICATE_FORM: &str = "the private key of the client's certificate";
const CERTIFICATE_MISSING_FORM: &str = "a client certificate beside the key";
const KEY_MISSING_FORM: &str = "a client key beside the certificate";
const NOT_EXPORTED: &str = "nothing is exported";

/// What TLS to a collector needs besides the protocol.
#[derive(Debug, Clone, Default)]
pub(crate) struct Certificates {
    /// None: the compiled-in roots.
    pub(crate) authorities: Option<Vec<CertificateDer<'static>>>,
    pub(crate) client: Option<ClientIdentity>,
}

/// A client's certificate and its key.
#[derive(Clone)]
pub(crate) struct ClientIdentity {
    /// The client's own first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: Arc<PrivateKeyDer<'static>>,
}

/// Without the key.
impl fmt::Debug for ClientIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClientIdentity")
            .field("certificates", &self.chain.len())
            .finish_non_exhaustive()
    }
}

/// The variables of one signal, its own form before the general one.
pub(super) struct Names {
    pub(super) authorities: [&'static str; 2],
    pub(super) client_certificate: [&'static str; 2],
    pub(super) client_key: [&'static str; 2],
}

/// A file that cannot be used: the problem has been reported.
struct Unusable;

/// Why a file cannot be used. Says nothing of its content: a key may have been put where a
/// certificate belongs.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("one that cannot be read ({0})")]
    Unreadable(io::ErrorKind),
    #[error("something that is no file")]
    NoFile,
    #[error("one of more than {MAX_FILE_BYTES} bytes")]
    TooLong,
    #[error("one that is broken")]
    Broken,
    #[error("one without a certificate")]
    NoCertificate,
    #[error("one selection certificate {0} is none that can be read")]
    Certificate(usize),
    #[error("one without a private key")]
    NoKey,
}

/// What the endpoint needs; nothing if it cannot be had.
pub(super) fn read(
    reader: &mut Reader<'_>,
    names: &Names,
    endpoint: &Endpoint,
) -> Option<Certificates> {
    if !endpoint.tls {
        report_useless(reader, names);
        return Some(Certificates::default());
    }
    let authorities = authorities(reader, names.authorities);
    let client = client(reader, names);
    Some(Certificates {
        authorities: authorities.ok()?,
        client: client.ok()?,
    })
}

/// Who names certificates believes to be protected by them.
fn report_useless(reader: &mut Reader<'_>, names: &Names) {
    for names in [
        names.authorities,
        names.client_certificate,
        names.client_key,
    ] {
        let name = reader.first_set(names);
        if reader.text(name).is_some() {
            let form = "an endpoint with https beside it";
            let found = "one without TLS".to_owned();
            reader.secret_problem(name, found, form, "the file is not used");
        }
    }
}

fn authorities(
    reader: &mut Reader<'_>,
    names: [&'static str; 2],
) -> Result<Option<Vec<CertificateDer<'static>>>, Unusable> {
    let name = reader.first_set(names);
    let read = |path: &str| {
        let certificates = certificates(&file(path)?)?;
        for (index, certificate) in certificates.iter().enumerate() {
            // What is a certificate by its frame may be none by its content.
            webpki::anchor_from_trusted_cert(certificate)
                .map_err(|_| FileError::Certificate(index + 1))?;
        }
        Ok(certificates)
    };
    from_file(reader, name, AUTHORITIES_FORM, read)
}

fn client(reader: &mut Reader<'_>, names: &Names) -> Result<Option<ClientIdentity>, Unusable> {
    let [certificate, key] = [names.client_certificate, names.client_key];
    let [certificate, key] = [reader.first_set(certificate), reader.first_set(key)];
    let chain = from_file(reader, certificate, CERTIFICATE_FORM, |path| {
        let chain = certificates(&file(path)?)?;
        for (index, certificate) in chain.iter().enumerate() {
            EndEntityCert::try_from(certificate).map_err(|_| FileError::Certificate(index + 1))?;
        }
        Ok(chain)
    });
    let private = from_file(reader, key, KEY_FORM, |path| private_key(&file(path)?));
    let (variable, form, found) = match (chain?, private?) {
        (None, None) => return Ok(None),
        (Some(chain), Some(private)) if belongs(&private, &chain) => {
            let key = Arc::new(private);
            return Ok(Some(ClientIdentity { chain, key }));
        }
        (Some(_), Some(_)) => (key, KEY_OF_CERTIFICATE_FORM, "that of another"),
        (None, Some(_)) => (certificate, CERTIFICATE_MISSING_FORM, "nothing"),
        (Some(_), None) => (key, KEY_MISSING_FORM, "nothing"),
    };
    reader.secret_problem(variable, found.to_owned(), form, NOT_EXPORTED);
    Err(Unusable)
}

/// Whether the key is the first certificate's, as far as can be told without computing with it. The
/// private keys that TLS here can use, RSA and ECDSA ones, have the public one in them, in the same
/// bytes as the certificate.
fn belongs(key: &PrivateKeyDer<'_>, chain: &[CertificateDer<'_>]) -> bool {
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

/// What the file holds that the variable names, if it names one.
fn from_file<T>(
    reader: &mut Reader<'_>,
    name: &'static str,
    form: &'static str,
    read: impl FnOnce(&str) -> Result<T, FileError>,
) -> Result<Option<T>, Unusable> {
    let Some(path) = reader.text(name) else {
        return Ok(None);
    };
    read(&path).map(Some).map_err(|error| {
        // The path is not repeated: somebody may have put the certificate's or the key's own text
        // there.
        reader.secret_problem(name, error.to_string(), form, NOT_EXPORTED);
        Unusable
    })
}

fn file(path: &str) -> Result<Vec<u8>, FileError> {
    let unreadable = |error: io::Error| FileError::Unreadable(error.kind());
    // A pipe would keep the start waiting.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(FileError::NoFile);
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
        Err(_) => Err(FileError::Broken),
    }
}

fn private_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, FileError> {
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => FileError::NoKey,
        _ => FileError::Broken,
    })
}

#[cfg(test)]
mod tests;
