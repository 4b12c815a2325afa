//! Headers of the OTLP export from AWS: a secret of Secrets Manager, or a parameter of the SSM
//! Parameter Store.
//!
//! ```no_run
//! # async fn example() {
//! use baton_telemetry::{Service, Telemetry};
//!
//! let service = Service { name: "orders", version: None };
//! let telemetry = Telemetry::builder(service).header_source(baton_secrets::open).init().await;
//! # }
//! ```
//!
//! `OTEL_EXPORTER_OTLP_HEADERS_SECRET` is the ARN of either, as it stands in the policy that allows
//! reading it:
//!
//! | ARN | read with | to be allowed |
//! |---|---|---|
//! | `arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME`, with or without the six characters that AWS adds | `GetSecretValue` | `secretsmanager:GetSecretValue` |
//! | `arn:aws:ssm:REGION:ACCOUNT:parameter/NAME` | `GetParameter`, decrypted | `ssm:GetParameter` |
//!
//! and `kms:Decrypt` where the key is not AWS's own. What it holds is the list of
//! `OTEL_EXPORTER_OTLP_HEADERS` (`authorization=Bearer KEY`) or a JSON object of names and values,
//! as Secrets Manager's console makes it.
//!
//! It is read when telemetry starts, and again after the collector has answered 401 or 403, at most
//! once a minute: see [`HeaderSource`]. What was read is in no log, no error and no `Debug` output.
//!
//! The two reads are calls of our own over the SDK's machinery (credentials, signature, retries,
//! time limits): `aws-sdk-ssm` alone is 350,000 lines, compiles for 46 s and weighs 170 MB as a
//! library, for one operation of its 150.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;

use baton_telemetry::{HeadersFuture, HeaderSource, parse_headers};
use tokio::sync::OnceCell;

use self::client::Client;
use self::reference::Reference;

mod client;
mod endpoint;
mod error;
mod reference;
mod request;

pub use error::{FetchError, Refusal};
pub use reference::InvalidReference;

/// A source of the headers that this ARN names. Nothing is read yet.
///
/// # Errors
///
/// When it is no ARN of a secret or a parameter: an [`InvalidReference`].
pub fn open(arn: &str) -> Result<Box<dyn HeaderSource>, Box<dyn Error + Send + Sync>> {
    let reference = Reference::parse(arn)?;
    Ok(Box::new(Secret {
        reference,
        client: OnceCell::new(),
    }))
}

/// Where the headers are, and the client for it once it was needed.
struct Secret {
    reference: Reference,
    client: OnceCell<Client>,
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
                .get_or_init(|| Client::load(&self.reference))
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
