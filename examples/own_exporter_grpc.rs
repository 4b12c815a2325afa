//! The exporter of `opentelemetry-otlp` over gRPC, with a sampler and a resource that the program
//! provides.
//!
//! `OTEL_EXPORTER_OTLP_ENDPOINT` is the collector's URL, such as
//! `https://collector.example.com:4317`.

use std::error::Error;

use baton_lambda::{Consumer, Failure, Message, ServiceInfo, Telemetry};
use opentelemetry::KeyValue;
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::Sampler;
use serde::Deserialize;
use tonic::transport::ClientTlsConfig;

const SERVICE: ServiceInfo = ServiceInfo {
    name: "orders",
    version: Some(env!("CARGO_PKG_VERSION")),
};

#[derive(Deserialize)]
struct Order {
    article: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let spans = SpanExporter::builder()
        .with_tonic()
        .with_tls_config(ClientTlsConfig::new().with_webpki_roots())
        // If the collector is down, the default of three retries takes most of the second that a
        // flush has.
        .with_retry_policy(RetryPolicy::default().with_max_retries(1))
        .build()?;
    let resource = Resource::builder_empty()
        .with_attribute(KeyValue::new("team", "logistics"))
        .build();
    let telemetry = Telemetry::builder(SERVICE)
        .span_exporter(spans)
        .sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
            0.5,
        ))))
        .resource(resource)
        .try_init()
        .await?;
    Ok(Consumer::builder().telemetry(telemetry).run(handle).await?)
}

async fn handle(message: Message<Order>) -> Result<(), Failure> {
    tracing::info!(article = message.body.article, "ordered");
    Ok(())
}
