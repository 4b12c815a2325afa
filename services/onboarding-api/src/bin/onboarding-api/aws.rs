//! The AWS configuration: the SDK's own variables and files, on our TLS and with our patience.

use std::time::Duration;

use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

/// How long a connection may take. SQS is in the same region, where it takes milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long one attempt may take, so that there is time for another.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a call may take with all its attempts: longer than that and the HTTP client at the
/// other end gives up.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(5);

/// Attempts of one call, the first included: the SDKs' standard.
const MAX_ATTEMPTS: u32 = 3;

/// The first pause between attempts. The SDK's own of a second would make a request wait when SQS
/// is merely restarting a connection.
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);

/// Reads `AWS_*` and the shared files, and where these name no region, asks the machine for its
/// own.
pub(crate) async fn load() -> SdkConfig {
    let http_client = Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let provider_config = ProviderConfig::default().with_http_client(http_client.clone());
    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
    let loader = match region(&provider_config).await {
        Some(region) => loader.region(region),
        // Without one the process ends, and the credentials' chain would look for it once more.
        None => loader.region(None::<Region>).no_credentials(),
    };
    loader
        .http_client(http_client)
        .timeout_config(timeouts)
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(MAX_ATTEMPTS)
                .with_initial_backoff(INITIAL_BACKOFF),
        )
        .load()
        .await
}

/// By the SDK's own chain. Its last link tells the log at length that this is no EC2 instance,
/// which is usual and no news: that there is no region is said once, with the rest of the
/// configuration.
async fn region(config: &ProviderConfig) -> Option<Region> {
    let named = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new());
    if let Some(region) = named.region().await {
        return Some(region);
    }
    let machine = ImdsRegionProvider::builder().configure(config).build();
    machine.region().with_subscriber(NoSubscriber::new()).await
}
