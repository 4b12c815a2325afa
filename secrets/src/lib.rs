//! Headers of the OTLP export from AWS: a secret of Secrets Manager, or a parameter of the SSM
//! Parameter Store.
//!
//! ```no_run
//! # async fn example() {
//! use baton_telemetry::{ServiceInfo, Telemetry};
//!
//! let service = ServiceInfo { name: "orders", version: None };
//! let telemetry = Telemetry::builder(service).header_source(baton_secrets::open).init().await;
//! # }
//! ```
//!
//! `OTEL_EXPORTER_OTLP_HEADERS_SECRET` is the ARN of the secret or the parameter, as in the IAM
//! policy that allows reading it:
//!
//! | ARN | Operation | Required permission |
//! |---|---|---|
//! | `arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME`, with or without the suffix of six characters that AWS adds | `GetSecretValue` | `secretsmanager:GetSecretValue` |
//! | `arn:aws:ssm:REGION:ACCOUNT:parameter/NAME` | `GetParameter` with decryption | `ssm:GetParameter` |
//!
//! If the secret is encrypted with a customer managed key, `kms:Decrypt` is required as well. The
//! content is a list in the format of `OTEL_EXPORTER_OTLP_HEADERS` (`authorization=Bearer KEY`) or
//! a JSON object of names and values, as Secrets Manager's console creates it.
//!
//! The secret is read when telemetry starts, and again after the collector has responded with 401
//! or 403, at most once a minute: see [`HeaderSource`]. Its content never appears in a log, an
//! error or `Debug` output.
//!
//! This crate makes the two calls with the AWS SDK's runtime crates (credentials, signatures,
//! retries, timeouts) instead of the service clients: `aws-sdk-ssm` alone has 350,000 lines, takes
//! 46 s to compile, and produces a library of 170 MB, for one of its 150 operations.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;

use baton_telemetry::{HeaderSource, HeadersFuture, parse_headers};
use tokio::sync::OnceCell;

use self::client::SecretsClient;
use self::reference::Reference;

mod client;
mod endpoint;
mod error;
mod reference;
mod request;

pub use error::{FetchError, Rejection};
pub use reference::InvalidReference;

/// Returns a source that reads headers from the secret or parameter with this ARN.
///
/// The source reads nothing until its first fetch.
///
/// # Errors
///
/// Returns an [`InvalidReference`] if `arn` is not the ARN of a secret or a parameter.
pub fn open(arn: &str) -> Result<Box<dyn HeaderSource>, Box<dyn Error + Send + Sync>> {
    let reference = Reference::parse(arn)?;
    Ok(Box::new(Secret {
        reference,
        client: OnceCell::new(),
    }))
}

/// A secret that contains headers, and the client that reads it, created by the first fetch.
struct Secret {
    reference: Reference,
    client: OnceCell<SecretsClient>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.reference.arn())
    }
}

impl HeaderSource for Secret {
    fn fetch(&self) -> HeadersFuture<'_> {
        Box::pin(async {
            let client = self
                .client
                .get_or_init(|| SecretsClient::load(&self.reference))
                .await;
            let content = client.read(&self.reference).await?;
            let headers =
                parse_headers(content.as_str()).map_err(|source| FetchError::Content {
                    arn: self.reference.arn().to_owned(),
                    source,
                })?;
            Ok(headers)
        })
    }
}
