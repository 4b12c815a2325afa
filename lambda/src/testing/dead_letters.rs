//! Capture of the messages that are sent to the dead-letter queue.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region, SharedHttpClient};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use serde_json::{Map, Value, json};

use super::{ACCOUNT, REGION};
use crate::dead_letter::{DeadLetterQueue, InvalidDeadLetterQueue};

/// A message that was sent to the dead-letter queue.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The body.
    pub body: String,
    /// Values of the message attributes, as a JSON object.
    pub attributes: Value,
    /// The message group, if the message has one.
    pub group: Option<String>,
}

/// The messages of a run. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct CapturedDeadLetters(Arc<Mutex<Vec<DeadLetter>>>);

impl CapturedDeadLetters {
    /// Returns a dead-letter queue that adds each message to these. Its client does not open a
    /// connection.
    ///
    /// # Errors
    ///
    /// Returns an error if the name cannot be part of a URL.
    pub(super) fn queue(&self, name: &str) -> Result<DeadLetterQueue, InvalidDeadLetterQueue> {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .http_client(SharedHttpClient::new(self.clone()))
            .build();
        let url = format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}");
        DeadLetterQueue::new(Client::from_conf(config), url)
    }

    /// Takes the messages.
    pub(super) fn take(&self) -> Vec<DeadLetter> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds the message of a `SendMessage` request.
    fn add(&self, request: &Value) {
        let attributes = request["MessageAttributes"].as_object();
        let values = attributes.into_iter().flatten();
        let values: Map<String, Value> = values
            .map(|(name, attribute)| (name.clone(), attribute["StringValue"].clone()))
            .collect();
        let letter = DeadLetter {
            body: request["MessageBody"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            attributes: Value::Object(values),
            group: request["MessageGroupId"].as_str().map(str::to_owned),
        };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(letter);
    }
}

impl HttpClient for CapturedDeadLetters {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for CapturedDeadLetters {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().unwrap_or_default();
        self.add(&serde_json::from_slice(body).unwrap_or_default());
        let response = json!({"MessageId": "dead-letter", "MD5OfMessageBody": ""}).to_string();
        let response = HttpResponse::new(http::StatusCode::OK.into(), response.into());
        HttpConnectorFuture::ready(Ok(response))
    }
}
