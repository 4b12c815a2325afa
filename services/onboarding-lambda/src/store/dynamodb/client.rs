//! The DynamoDB client, with timeouts that fit an invocation.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use http::Uri;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::attribute::{SERVER_ADDRESS, SERVER_PORT};

use crate::store::InvalidStore;

/// Time limit for connecting. DynamoDB is in the same region, where connecting takes milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// Time limit for one attempt: a hundred times the usual duration of a put, and short enough to
/// leave time for another.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(700);
/// Time limit for a put with all its attempts. In a function with Lambda's default timeout of 3
/// seconds, handlers are cancelled after 1.9. This limit is shorter, so that the error names the
/// table as the cause.
const OPERATION_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Limit of attempts for one put, including the first: the SDKs' default.
const MAX_ATTEMPTS: u32 = 3;
/// Limit of the pause before the second attempt; it is doubled before the third. The SDKs' default
/// for DynamoDB.
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);

/// Default ports of the URL schemes.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// Returns a loader that reads `AWS_*` and the shared files.
pub(in crate::store) fn loader() -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
}

/// Creates the client. Returns it with its region.
pub(super) async fn load(loader: ConfigLoader) -> Result<(Client, String), InvalidStore> {
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
    let shared = loader
        .http_client(http_client)
        .timeout_config(timeouts)
        .retry_config(retries)
        .load()
        .await;
    // Without a region every put would fail. This error is reported at the start instead.
    let region = shared.region().ok_or(InvalidStore::NoRegion)?.to_string();
    let config = aws_sdk_dynamodb::config::Builder::from(&shared)
        .interceptor(ServerAttributes)
        .build();
    Ok((Client::from_conf(config), region))
}

/// An interceptor that records the server in the span of the call. The SDK chooses the server for
/// each request, by region, account and environment.
#[derive(Debug)]
struct ServerAttributes;

impl Intercept for ServerAttributes {
    fn name(&self) -> &'static str {
        "ServerAttributes"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Ok(uri) = context.request().uri().parse::<Uri>() else {
            return Ok(());
        };
        let default_port = match uri.scheme_str() {
            Some("http") => HTTP_PORT,
            _ => HTTPS_PORT,
        };
        let port = uri.port_u16().unwrap_or(default_port);
        Context::map_current(|context| {
            let span = context.span();
            if let Some(host) = uri.host() {
                span.set_attribute(KeyValue::new(SERVER_ADDRESS, host.to_owned()));
                span.set_attribute(KeyValue::new(SERVER_PORT, i64::from(port)));
            }
        });
        Ok(())
    }
}
