//! The DynamoDB client, with timeouts that fit an invocation.

use std::time::Duration;

use aws_config::ConfigLoader;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use baton_sqs::ClientSettings;
use http::Uri;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::attribute::{SERVER_ADDRESS, SERVER_PORT};

use crate::store::InvalidStore;

const SETTINGS: ClientSettings = ClientSettings {
    // DynamoDB is in the same region, where connecting takes milliseconds.
    connect_timeout: Duration::from_millis(500),
    // A hundred times the usual duration of a put, and short enough to leave time for another
    // attempt.
    attempt_timeout: Duration::from_millis(700),
    // In a function with Lambda's default timeout of 3 seconds, handlers are cancelled after 1.9.
    // This limit is shorter, so that the error names the table as the cause.
    operation_timeout: Duration::from_millis(1_500),
    // The SDKs' default.
    max_attempts: 3,
    // The SDKs' default for DynamoDB.
    initial_backoff: Duration::from_millis(50),
};

/// Default ports of the URL schemes.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// Creates the client. Returns it with its region.
pub(super) async fn load(loader: ConfigLoader) -> Result<(Client, String), InvalidStore> {
    let shared = SETTINGS.load(loader).await;
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
