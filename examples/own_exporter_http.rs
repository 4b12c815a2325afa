//! The exporters of `opentelemetry-otlp` over HTTP, instead of Baton's.
//!
//! The clients are given explicitly. The default client of `opentelemetry-otlp` depends on the
//! features that any crate of the program enables: a blocking client, which is an error at start,
//! or an asynchronous one. `OTEL_EXPORTER_OTLP_ENDPOINT` and `OTEL_EXPORTER_OTLP_HEADERS` configure
//! these exporters too.

use std::error::Error;
use std::time::Duration;

use baton_lambda::{Consumer, Failure, Message, ServiceInfo, Telemetry};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{MetricExporter, RetryPolicy, SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::metrics::Temporality;
use serde::Deserialize;

const SERVICE: ServiceInfo = ServiceInfo {
    name: "orders",
    version: Some(env!("CARGO_PKG_VERSION")),
};
/// Time limit of a request. A flush ends earlier.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct Order {
    article: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // One retry replaces a connection that broke while the process was frozen. If the collector is
    // down, the default of three retries takes most of the second that a flush has.
    let retry = || RetryPolicy::default().with_max_retries(1);
    let spans = SpanExporter::builder()
        .with_http()
        .with_http_client(client())
        .with_retry_policy(retry())
        .build()?;
    // Cumulative values are the default, but those of short-lived processes do not add up.
    let metrics = MetricExporter::builder()
        .with_temporality(Temporality::Delta)
        .with_http()
        .with_http_client(client())
        .with_retry_policy(retry())
        .build()?;
    let telemetry = Telemetry::builder(SERVICE)
        .span_exporter(spans)
        .metric_exporter(metrics)
        .try_init()
        .await?;
    Ok(Consumer::builder().telemetry(telemetry).run(handle).await?)
}

fn client() -> HyperClient<HttpsConnector<HttpConnector>> {
    let connector = HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http()
        .enable_http1()
        .build();
    HyperClient::new(connector, REQUEST_TIMEOUT, None)
}

async fn handle(message: Message<Order>) -> Result<(), Failure> {
    tracing::info!(article = message.body.article, "ordered");
    Ok(())
}
