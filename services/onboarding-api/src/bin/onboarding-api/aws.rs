//! The AWS configuration: the SDK's variables and files, with this service's TLS stack, timeouts
//! and retries.

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

/// Time limit for connecting. SQS is in the same region, where connecting takes milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Time limit for one attempt, which leaves time for another.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// Time limit for a call with all its attempts. HTTP clients of the API often time out soon after.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(5);

/// Limit of attempts for one call, including the first: the SDKs' default.
const MAX_ATTEMPTS: u32 = 3;

/// The first pause between attempts. With the SDK's default of a second, a request would wait long
/// if SQS merely closed a connection.
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);

/// Loads the configuration from `AWS_*` and the shared files. If these name no region, the instance
/// metadata service is asked.
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
    let loader = match find_region(&provider_config).await {
        Some(region) => loader.region(region),
        // Without a region the process exits. The default credentials chain would search for the
        // region again first.
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

/// Finds the region by the SDK's default chain.
///
/// The last provider runs without a subscriber, because it logs several warnings where there is no
/// instance metadata service. A missing region is reported once, with the rest of the
/// configuration.
async fn find_region(config: &ProviderConfig) -> Option<Region> {
    let configured = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new());
    if let Some(region) = configured.region().await {
        return Some(region);
    }
    let instance = ImdsRegionProvider::builder().configure(config).build();
    instance.region().with_subscriber(NoSubscriber::new()).await
}
