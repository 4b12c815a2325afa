//! The set-up of an AWS SDK client: TLS, timeouts and retries.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_sdk_sqs::config::SharedHttpClient;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

/// Timeouts and retries of a client.
///
/// ```no_run
/// # async fn example() {
/// use std::time::Duration;
///
/// let settings = baton_sqs::ClientSettings {
///     connect_timeout: Duration::from_secs(1),
///     attempt_timeout: Duration::from_secs(2),
///     operation_timeout: Duration::from_secs(5),
///     max_attempts: 3,
///     initial_backoff: Duration::from_millis(100),
/// };
/// let config = settings.load(baton_sqs::config_loader()).await;
/// let client = aws_sdk_sqs::Client::new(&config);
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientSettings {
    /// Maximum time to establish a connection.
    pub connect_timeout: Duration,
    /// Maximum time of one attempt.
    pub attempt_timeout: Duration,
    /// Maximum time of a call with all its attempts and the pauses between them.
    pub operation_timeout: Duration,
    /// Maximum number of attempts, the first one included.
    pub max_attempts: u32,
    /// Maximum pause before the second attempt. It doubles with each further attempt.
    pub initial_backoff: Duration,
}

impl ClientSettings {
    /// Loads the configuration with these settings and [`http_client`].
    ///
    /// The configuration has no region if `loader` does not find one. Every call would then fail,
    /// so check it.
    pub async fn load(self, loader: ConfigLoader) -> SdkConfig {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(self.connect_timeout)
            .operation_attempt_timeout(self.attempt_timeout)
            .operation_timeout(self.operation_timeout)
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(self.max_attempts)
            .with_initial_backoff(self.initial_backoff);
        loader
            .http_client(http_client())
            .timeout_config(timeouts)
            .retry_config(retries)
            .load()
            .await
    }
}

/// Creates a loader that reads `AWS_*` and the shared files, with a fixed version of the SDK's
/// defaults.
#[must_use]
pub fn config_loader() -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
}

/// Creates an HTTP client whose TLS is rustls on ring, the only TLS stack of this workspace.
#[must_use]
pub fn http_client() -> SharedHttpClient {
    Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}
