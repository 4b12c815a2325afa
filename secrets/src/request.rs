//! What is asked of each service, and what it answers: AWS JSON 1.1.

use std::fmt;

use serde_json::{Value, json};

use crate::error::Refusal;
use crate::reference::{Reference, Service};

/// AWS's own sentences are shorter. What is longer is cut, so that no answer can fill the log.
const MAX_MESSAGE_CHARACTERS: usize = 400;

/// What a secret holds. Shows nothing of it.
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

impl Service {
    /// The name that requests are signed for, which also begins the endpoint's.
    pub(crate) fn signing_name(self) -> &'static str {
        match self {
            Self::SecretsManager => "secretsmanager",
            Self::ParameterStore => "ssm",
        }
    }

    /// The name that the SDKs' configuration has for it, as in `AWS_ENDPOINT_URL_SECRETS_MANAGER`.
    pub(crate) fn service_id(self) -> &'static str {
        match self {
            Self::SecretsManager => "Secrets Manager",
            Self::ParameterStore => "SSM",
        }
    }

    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::SecretsManager => "GetSecretValue",
            Self::ParameterStore => "GetParameter",
        }
    }

    /// `x-amz-target` of the operation.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::SecretsManager => "secretsmanager.GetSecretValue",
            Self::ParameterStore => "AmazonSSM.GetParameter",
        }
    }
}

pub(crate) fn body(reference: &Reference) -> String {
    let arn = reference.arn();
    let body = match reference.service {
        Service::SecretsManager => json!({"SecretId": arn}),
        Service::ParameterStore => json!({"Name": arn, "WithDecryption": true}),
    };
    body.to_string()
}

/// The content, in the answer of a success.
pub(crate) fn content(service: Service, answer: &[u8]) -> Result<Content, Refusal> {
    let answer: Value = serde_json::from_slice(answer).map_err(|_| Refusal::Unreadable)?;
    let text = match service {
        Service::SecretsManager if answer["SecretBinary"].is_string() => {
            return Err(Refusal::Binary);
        }
        Service::SecretsManager => &answer["SecretString"],
        Service::ParameterStore => &answer["Parameter"]["Value"],
    };
    let text = text.as_str().ok_or(Refusal::Unreadable)?;
    Ok(Content(text.to_owned()))
}

/// What an answer of another status says.
pub(crate) fn refusal(status: u16, answer: &[u8]) -> Refusal {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let text = |names: [&str; 2]| {
        let found = names.into_iter().find_map(|name| answer[name].as_str());
        found.map(|text| {
            text.chars()
                .take(MAX_MESSAGE_CHARACTERS)
                .collect::<String>()
        })
    };
    let Some(code) = text(["__type", "code"]) else {
        return Refusal::Status(status);
    };
    // `prefix#Code:suffix` (AWS JSON protocol, "Operation error serialization").
    let code = code.rsplit('#').next().unwrap_or_default();
    let code = code.split(':').next().unwrap_or_default().to_owned();
    let message = text(["message", "Message"]).unwrap_or_default();
    Refusal::of(code, message)
}
