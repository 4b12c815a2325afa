//! One call, by the SDK's machinery: its credentials, signature, retries and limits.

use std::error::Error as _;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_runtime::auth::SigV4OperationSigningConfig;
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
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

use crate::endpoint;
use crate::error::{FetchError, Refusal};
use crate::reference::Reference;
use crate::request::{self, Content};

/// How long a connection may take. The service is in the same region, or near, where it takes
/// milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// How long one attempt may take: a read takes a tenth of a second. Two of them fit into the time
/// that the start has for it.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(900);
/// Attempts of one read.
const MAX_ATTEMPTS: u32 = 2;
/// The longest pause between the two.
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);

/// Reads one secret.
#[derive(Debug)]
pub(crate) struct Client {
    read: Operation<(), Content, Refusal>,
}

impl Client {
    /// By `AWS_*` and the shared files; the region is the secret's own.
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

    pub(crate) async fn read(&self, reference: &Reference) -> Result<Content, FetchError> {
        let arn = || reference.arn().to_owned();
        self.read
            .invoke(())
            .await
            .map_err(|error| match error.as_service_error() {
                Some(refusal) => FetchError::Refused {
                    arn: arn(),
                    refusal: refusal.clone(),
                },
                None => FetchError::Unreachable {
                    arn: arn(),
                    reason: reason(&error),
                },
            })
    }
}

fn operation(config: &SdkConfig, reference: &Reference) -> Operation<(), Content, Refusal> {
    let service = reference.service;
    let body = request::body(reference);
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(MAX_ATTEMPTS)
        .with_initial_backoff(INITIAL_BACKOFF);
    let mut builder = Operation::builder()
        .service_name(service.service_id())
        .operation_name(service.operation())
        .endpoint_url(&endpoint::url(config, reference))
        .timeout_config(timeouts)
        .standard_retry(&retries)
        .retry_classifier(TransientErrorClassifier::<Refusal>::new())
        .retry_classifier(HttpStatusCodeClassifier::default())
        .with_connection_poisoning()
        .runtime_plugin(signature(config, reference));
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
            headers.insert("x-amz-target", service.target());
            Ok(request)
        })
        .deserializer(move |response: &HttpResponse| {
            // The body has been read by now.
            let answer = response.body().bytes().unwrap_or_default();
            let content = match response.status() {
                status if status.is_success() => request::content(service, answer),
                status => Err(request::refusal(status.as_u16(), answer)),
            };
            content.map_err(OrchestratorError::operation)
        })
        .build()
}

/// Who signs, for which service and region; and that the answer is no matter for the SDK's own log.
fn signature(config: &SdkConfig, reference: &Reference) -> StaticRuntimePlugin {
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
        name: Some(SigningName::from_static(reference.service.signing_name())),
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

/// Why there was no answer, in words. The SDK's error itself is not kept: in its debug output it
/// holds answers whole.
fn reason(error: &SdkError<Refusal, HttpResponse>) -> String {
    let what = match error {
        SdkError::ConstructionFailure(_) => "no request could be made",
        SdkError::TimeoutError(_) => "no answer within the time for it",
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "no connection in time",
        SdkError::DispatchFailure(_) => "no request could be sent",
        _ => "no answer that could be read",
    };
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(what.to_owned(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests;
