//! The function with OpenTelemetry's own crates: the batch processor, the exporter over HTTP, and a
//! flush before each response.
//!
//! It makes the same spans as `noop` with the same attributes, and raises the SDK's limit of 128
//! links, which would save it most of the work on a large batch. Everything else has the defaults
//! of the crates.

use std::sync::Arc;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use lambda_runtime::{Context, Error, LambdaEvent, service_fn};
use opentelemetry::trace::{Span as _, Status, TracerProvider as _};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use serde_json::Value;

mod carrier;
mod spans;

/// State that all invocations share.
struct Function {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let exporter = SpanExporter::builder().with_http().build()?;
    let provider = SdkTracerProvider::builder()
        .with_max_links_per_span(u32::MAX)
        .with_batch_exporter(exporter)
        .build();
    let tracer = provider.tracer("direct");
    let function = Arc::new(Function { provider, tracer });
    let handler = service_fn(move |event: LambdaEvent<SqsEvent>| {
        let function = Arc::clone(&function);
        async move { function.handle(&event.payload.records, &event.context) }
    });
    lambda_runtime::run(handler).await
}

impl Function {
    fn handle(&self, records: &[SqsMessage], lambda: &Context) -> Result<SqsBatchResponse, Error> {
        let mut response = SqsBatchResponse::default();
        let parents: Vec<_> = records.iter().map(carrier::extract).collect();
        let mut batch = spans::start_batch(&self.tracer, records, &parents, lambda);
        for (record, parent) in records.iter().zip(&parents) {
            let mut span = spans::start_record(&self.tracer, record, parent, batch.span_context());
            if let Err(error) = parse(record) {
                span.set_status(Status::error(error.to_string()));
                response.add_failure(record.message_id.clone().unwrap_or_default());
            }
            span.end();
        }
        batch.end();
        // Spans that did not fit into the queue are lost. The harness counts them.
        let _ = self.provider.force_flush();
        Ok(response)
    }
}

/// Handles a message: the same work as in the other functions.
fn parse(record: &SqsMessage) -> Result<(), serde_json::Error> {
    let body: Value = serde_json::from_str(record.body.as_deref().unwrap_or_default())?;
    std::hint::black_box(&body);
    Ok(())
}
