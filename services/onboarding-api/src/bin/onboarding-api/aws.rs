//! The AWS configuration: the SDK's variables and files, with this service's TLS stack, timeouts
//! and retries.

use std::time::Duration;

use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{Region, SdkConfig};
use baton_sqs::ClientSettings;
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

const SETTINGS: ClientSettings = ClientSettings {
    // SQS is in the same region, where connecting takes milliseconds.
    connect_timeout: Duration::from_secs(1),
    // Leaves time for another attempt.
    attempt_timeout: Duration::from_secs(2),
    // HTTP clients of the API often time out soon after.
    operation_timeout: Duration::from_secs(5),
    // The SDKs' default.
    max_attempts: 3,
    // With the SDK's default of a second, a request would wait long if SQS merely closed a
    // connection.
    initial_backoff: Duration::from_millis(100),
};

/// Loads the configuration from `AWS_*` and the shared files. If these name no region, the instance
/// metadata service is asked.
pub(crate) async fn load() -> SdkConfig {
    let provider_config = ProviderConfig::default().with_http_client(baton_sqs::http_client());
    let loader = baton_sqs::config_loader();
    let loader = match find_region(&provider_config).await {
        Some(region) => loader.region(region),
        // Without a region the process exits. The default credentials chain would search for the
        // region again first.
        None => loader.region(None::<Region>).no_credentials(),
    };
    SETTINGS.load(loader).await
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
