//! The client that the environment describes, with the patience that an invocation has.

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

/// How long a connection may take. DynamoDB is in the same region, where it takes milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// How long one attempt may take: a hundred times what a put takes, and short enough for another.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(700);
/// How long a put may take with all its attempts. In a function that nobody has configured, which
/// has 3 seconds, handlers are cancelled after 1.9: this way it is the table that is named as the
/// cause.
const OPERATION_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Attempts of one put, the first included: the SDKs' standard.
const MAX_ATTEMPTS: u32 = 3;
/// The longest pause before the second attempt, doubled before the third: the SDKs' own for
/// DynamoDB.
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);

/// Port of a URL that names none, by its scheme.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// What `AWS_*` and the shared files say.
pub(in crate::store) fn environment() -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
}

/// The client, and the region that it calls.
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
    // Without one every put would fail, and only then.
    let region = shared.region().ok_or(InvalidStore::NoRegion)?.to_string();
    let config = aws_sdk_dynamodb::config::Builder::from(&shared)
        .interceptor(ServerOnSpan)
        .build();
    Ok((Client::from_conf(config), region))
}

/// Puts the server on the span of the call. Which one it is the SDK decides with each request: by
/// region, account and environment.
#[derive(Debug)]
struct ServerOnSpan;

impl Intercept for ServerOnSpan {
    fn name(&self) -> &'static str {
        "ServerOnSpan"
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
