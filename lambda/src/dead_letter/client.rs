//! The client that the environment describes, with the patience that an invocation has.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader};
use aws_sdk_sqs::Client;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::dead_letter::error::InvalidDeadLetterQueue;

/// How long a connection may take. SQS is in the same region, where it takes milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// How long one attempt may take, so that there is time for another.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(700);
/// How long a send may take with all its attempts: the message is safe where it is, and the
/// invocation has other messages. In a function that nobody has configured, which has 3 seconds,
/// whatever runs is cancelled after 1.9: this way it is SQS that is named as the cause.
const OPERATION_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Attempts of one send. A second one is for a connection that did not survive the freeze between
/// two invocations.
const MAX_ATTEMPTS: u32 = 2;
/// The longest pause between the two. The SDK's own second would use up most of the time.
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);

/// What `AWS_*` and the shared files say.
pub(super) fn environment() -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
}

pub(super) async fn load(loader: ConfigLoader) -> Result<Client, InvalidDeadLetterQueue> {
    let http_client = Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(MAX_ATTEMPTS)
        .with_initial_backoff(INITIAL_BACKOFF);
    let config = loader
        .http_client(http_client)
        .timeout_config(timeouts)
        .retry_config(retries)
        .load()
        .await;
    // Without one every send would fail, and only then.
    if config.region().is_none() {
        return Err(InvalidDeadLetterQueue::NoRegion);
    }
    Ok(Client::new(&config))
}
