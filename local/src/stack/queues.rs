//! The client of the SQS endpoint, and the two queues, which are created over the wire.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region, SharedHttpClient};
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::QueueAttributeName::{self, QueueArn, RedrivePolicy, VisibilityTimeout};
use aws_smithy_http_client::{Builder, tls};
use baton_telemetry::ErrorChain;

use super::config::{CREDENTIALS, QueueConfig, REGION};

/// URLs of the two queues.
#[derive(Clone, Debug)]
pub struct QueueUrls {
    /// URL of the function's source queue.
    pub queue: String,
    /// URL of the dead-letter queue.
    pub dead_letter: String,
}

/// Error in creating the queues.
#[derive(Debug, thiserror::Error)]
#[error("{action} failed: {reason}")]
pub struct QueueSetupError {
    action: &'static str,
    reason: String,
}

/// Returns a client that reads nothing from the user's environment or configuration files.
pub(crate) fn sqs_client(endpoint: &str) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new(
            CREDENTIALS,
            CREDENTIALS,
            None,
            None,
            "baton",
        ))
        .endpoint_url(endpoint)
        .http_client(aws_http_client())
        .build();
    Client::from_conf(config)
}

/// Returns an HTTP client for the AWS SDK with this program's TLS stack.
pub(crate) fn aws_http_client() -> SharedHttpClient {
    Builder::new()
        .tls_provider(tls::Provider::Rustls(
            tls::rustls_provider::CryptoMode::Ring,
        ))
        .build_https()
}

/// Creates both queues, with a redrive policy from one to the other.
pub(super) async fn create_queues(
    client: &Client,
    config: &QueueConfig,
) -> Result<QueueUrls, QueueSetupError> {
    let dead_letter = create_queue(client, &config.name.dead_letter(), HashMap::new()).await?;
    let arn = queue_arn(client, &dead_letter).await?;
    let redrive = serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": config.max_receive_count });
    let attributes = HashMap::from([
        (
            VisibilityTimeout,
            whole_seconds(config.visibility_timeout).to_string(),
        ),
        (RedrivePolicy, redrive.to_string()),
    ]);
    let queue = create_queue(client, config.name.as_str(), attributes).await?;
    Ok(QueueUrls { queue, dead_letter })
}

async fn create_queue(
    client: &Client,
    name: &str,
    attributes: HashMap<QueueAttributeName, String>,
) -> Result<String, QueueSetupError> {
    let created = client
        .create_queue()
        .queue_name(name)
        .set_attributes(Some(attributes))
        .send()
        .await
        .map_err(queue_error("CreateQueue"))?;
    created.queue_url.ok_or(QueueSetupError {
        action: "CreateQueue",
        reason: "the response has no queue URL".to_owned(),
    })
}

async fn queue_arn(client: &Client, url: &str) -> Result<String, QueueSetupError> {
    let response = client
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(QueueArn)
        .send()
        .await
        .map_err(queue_error("GetQueueAttributes"))?;
    let arn = response
        .attributes
        .and_then(|mut attributes| attributes.remove(&QueueArn));
    arn.ok_or(QueueSetupError {
        action: "GetQueueAttributes",
        reason: "the response has no QueueArn".to_owned(),
    })
}

/// Returns a duration in whole seconds, as SQS expects, rounded up: half a second becomes one.
fn whole_seconds(duration: Duration) -> u64 {
    duration
        .as_millis()
        .div_ceil(1_000)
        .try_into()
        .unwrap_or(u64::MAX)
}

fn queue_error<E: ProvideErrorMetadata + std::error::Error + 'static>(
    action: &'static str,
) -> impl FnOnce(SdkError<E>) -> QueueSetupError {
    move |error| QueueSetupError {
        action,
        reason: describe_error(&error),
    }
}

/// Returns the code and message of an error from SQS, or the causes of a request that failed. The
/// SDK's own text contains a kilobyte of internal state.
pub(crate) fn describe_error<E: ProvideErrorMetadata + std::error::Error + 'static>(
    error: &SdkError<E>,
) -> String {
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => ErrorChain::new(error).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use tokio::net::TcpListener;

    use super::super::{QueueName, SqsEndpoint};
    use super::*;
    use crate::AllowedHosts;

    fn settings(visibility_timeout: Duration) -> QueueConfig {
        QueueConfig {
            name: QueueName::default(),
            visibility_timeout,
            max_receive_count: NonZeroU32::MIN,
        }
    }

    #[tokio::test]
    async fn an_error_of_sqs_is_reported_by_code_and_message() {
        let endpoint = SqsEndpoint::start(0, &AllowedHosts::default())
            .await
            .unwrap();
        let hidden_too_long = settings(Duration::from_secs(721 * 60));
        let error = create_queues(&sqs_client(endpoint.url()), &hidden_too_long)
            .await
            .unwrap_err();
        endpoint.stop().await;
        let text = error.to_string();
        assert!(
            text.starts_with("CreateQueue failed: InvalidAttributeValue: "),
            "{text}"
        );
        assert!(!text.contains(['{', '\n']), "{text}");
    }

    #[tokio::test]
    async fn an_unreachable_endpoint_is_reported_without_the_state_of_the_sdk() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", free.local_addr().unwrap());
        drop(free);
        let error = create_queues(&sqs_client(&url), &settings(Duration::ZERO))
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("dispatch failure"), "{text}");
        assert!(!text.contains(['{', '\n']), "{text}");
    }
}
