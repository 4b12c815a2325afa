//! Requests and responses of both services, in AWS JSON 1.1.

use std::fmt;

use serde_json::{Value, json};

use crate::error::Rejection;
use crate::reference::{Reference, SecretStore};

/// Maximum length of an error message. AWS's own messages are shorter; longer ones are truncated so
/// that no response can flood the log.
const MAX_MESSAGE_CHARACTERS: usize = 400;

/// The content of a secret, which `Debug` hides.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Content(String);

impl Content {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Content")
    }
}

/// Encodes the request that reads a secret.
pub(crate) fn encode(reference: &Reference) -> String {
    let arn = reference.arn();
    let body = match reference.store {
        SecretStore::SecretsManager => json!({"SecretId": arn}),
        SecretStore::ParameterStore => json!({"Name": arn, "WithDecryption": true}),
    };
    body.to_string()
}

/// Parses a successful response.
///
/// # Errors
///
/// Returns an error if the secret is binary or the response is in another format.
pub(crate) fn parse_content(store: SecretStore, body: &[u8]) -> Result<Content, Rejection> {
    let body: Value = serde_json::from_slice(body).map_err(|_| Rejection::Unreadable)?;
    let text = match store {
        SecretStore::SecretsManager if body["SecretBinary"].is_string() => {
            return Err(Rejection::Binary);
        }
        SecretStore::SecretsManager => &body["SecretString"],
        SecretStore::ParameterStore => &body["Parameter"]["Value"],
    };
    let text = text.as_str().ok_or(Rejection::Unreadable)?;
    Ok(Content(text.to_owned()))
}

/// Parses an error response.
pub(crate) fn parse_rejection(status: u16, body: &[u8]) -> Rejection {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |names: [&str; 2]| {
        let found = names.into_iter().find_map(|name| body[name].as_str());
        found.map(|text| {
            text.chars()
                .take(MAX_MESSAGE_CHARACTERS)
                .collect::<String>()
        })
    };
    let Some(code) = text(["__type", "code"]) else {
        return Rejection::Status(status);
    };
    // `prefix#Code:suffix` (AWS JSON protocol, "Operation error serialization").
    let code = code.rsplit('#').next().unwrap_or_default();
    let code = code.split(':').next().unwrap_or_default().to_owned();
    let message = text(["message", "Message"]).unwrap_or_default();
    Rejection::from_code(code, message)
}
