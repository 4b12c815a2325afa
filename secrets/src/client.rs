//! The call that reads a secret, with the credentials, signatures, retries and timeouts of the AWS
//! SDK's runtime crates.

use std::error::Error as _;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_runtime::auth::SigV4OperationSigningConfig;
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{
    HttpStatusCodeClassifier, TransientErrorClassifier,
};
use aws_smithy_runtime_api::client::auth::AuthSchemeOptionResolverParams;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::orchestrator::{
    HttpRequest, HttpResponse, OrchestratorError, SensitiveOutput,
};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::Layer;
use aws_types::SigningName;
use aws_types::region::{Region, SigningRegion};
use baton_telemetry::ErrorChain;

use crate::endpoint;
use crate::error::{FetchError, Rejection};
use crate::reference::Reference;
use crate::request::{self, Content};

/// Time limit for connecting. The service is in the same region or near it, where connecting takes
/// milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// Time limit for one attempt, which normally takes 100 ms. Two attempts fit into the two seconds
/// for which the start of the process waits.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(900);
/// Attempts per read: a single transient failure must not cost the headers.
const MAX_ATTEMPTS: u32 = 2;
/// Upper limit of the pause between the two attempts.
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);

/// A client that reads one secret.
#[derive(Debug)]
pub(crate) struct SecretsClient {
    read: Operation<(), Content, Rejection>,
}

impl SecretsClient {
    /// Loads the AWS configuration from `AWS_*` and the shared files. The region is the secret's.
    pub(crate) async fn load(reference: &Reference) -> Self {
        let http_client = Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(Region::new(reference.region.clone()))
            .http_client(http_client)
            .load()
            .await;
        Self {
            read: operation(&config, reference),
        }
    }

    /// Reads the secret.
    ///
    /// # Errors
    ///
    /// Returns an error if the service rejects the request or does not respond. The error does not
    /// contain the secret.
    pub(crate) async fn read(&self, reference: &Reference) -> Result<Content, FetchError> {
        let arn = || reference.arn().to_owned();
        self.read
            .invoke(())
            .await
            .map_err(|error| match error.as_service_error() {
                Some(rejection) => FetchError::Rejected {
                    arn: arn(),
                    rejection: rejection.clone(),
                },
                None => FetchError::NoResponse {
                    arn: arn(),
                    reason: describe(&error),
                },
            })
    }
}

fn operation(config: &SdkConfig, reference: &Reference) -> Operation<(), Content, Rejection> {
    let store = reference.store;
    let body = request::encode(reference);
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(MAX_ATTEMPTS)
        .with_initial_backoff(INITIAL_BACKOFF);
    let mut builder = Operation::builder()
        .service_name(store.service_id())
        .operation_name(store.operation())
        .endpoint_url(&endpoint::url(config, reference))
        .timeout_config(timeouts)
        .standard_retry(&retries)
        .retry_classifier(TransientErrorClassifier::<Rejection>::new())
        .retry_classifier(HttpStatusCodeClassifier::default())
        .with_connection_poisoning()
        .runtime_plugin(signing_plugin(config, reference));
    if let Some(http_client) = config.http_client() {
        builder = builder.http_client(http_client);
    }
    if let Some(sleep) = config.sleep_impl() {
        builder = builder.sleep_impl(sleep);
    }
    if let Some(time) = config.time_source() {
        builder = builder.time_source(time);
    }
    builder
        .serializer(move |()| {
            let mut request = HttpRequest::new(SdkBody::from(body.as_str()));
            request.set_method("POST")?;
            let headers = request.headers_mut();
            headers.insert("content-type", "application/x-amz-json-1.1");
            headers.insert("x-amz-target", store.target());
            Ok(request)
        })
        .deserializer(move |response: &HttpResponse| {
            // The SDK reads the whole body before it calls the deserializer.
            let body = response.body().bytes().unwrap_or_default();
            let content = match response.status() {
                status if status.is_success() => request::parse_content(store, body),
                status => Err(request::parse_rejection(status.as_u16(), body)),
            };
            content.map_err(OrchestratorError::operation)
        })
        .build()
}

/// Returns the plug-in that signs requests for the secret's service and region, and keeps the
/// response out of the SDK's own log.
fn signing_plugin(config: &SdkConfig, reference: &Reference) -> StaticRuntimePlugin {
    let mut components = RuntimeComponentsBuilder::new("baton-secrets");
    let schemes = StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID]);
    components.set_auth_scheme_option_resolver(Some(schemes));
    components.push_auth_scheme(SigV4AuthScheme::new());
    components.set_identity_cache(Some(IdentityCache::lazy().build()));
    if let Some(credentials) = config.credentials_provider() {
        components.set_identity_resolver(SCHEME_ID, credentials);
    }
    let signing = SigV4OperationSigningConfig {
        region: Some(SigningRegion::from(Region::new(reference.region.clone()))),
        name: Some(SigningName::from_static(reference.store.signing_name())),
        ..SigV4OperationSigningConfig::default()
    };
    let mut layer = Layer::new("baton-secrets");
    layer.store_put(AuthSchemeOptionResolverParams::new(()));
    layer.store_put(signing);
    layer.store_put(SensitiveOutput);
    StaticRuntimePlugin::new()
        .with_config(layer.freeze())
        .with_runtime_components(components)
}

/// Describes an error and its causes. The SDK's error itself is discarded, because its `Debug`
/// output contains whole responses.
fn describe(error: &SdkError<Rejection, HttpResponse>) -> String {
    let failure = match error {
        SdkError::ConstructionFailure(_) => "failed to build the request",
        SdkError::TimeoutError(_) => "timed out waiting for the response",
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "timed out connecting",
        SdkError::DispatchFailure(_) => "failed to send the request",
        _ => "failed to read the response",
    };
    match error.source() {
        Some(cause) => format!("{failure}: {}", ErrorChain::new(cause)),
        None => failure.to_owned(),
    }
}

#[cfg(test)]
mod tests;
