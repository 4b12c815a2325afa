//! Spans with the same attributes as Baton's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lambda_events::event::sqs::SqsMessage;
use lambda_runtime::Context as LambdaContext;
use opentelemetry::trace::{Link, SpanContext, SpanKind, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, Span};

const QUEUE: &str = "orders";

/// Starts the batch span: a root with a link to each producer.
pub(crate) fn start_batch(
    tracer: &SdkTracer,
    records: &[SqsMessage],
    parents: &[Context],
    lambda: &LambdaContext,
) -> Span {
    let pairs = records.iter().zip(parents);
    let links = pairs.map(|(record, parent)| {
        let id = record.message_id.clone().unwrap_or_default();
        let producer = parent.span().span_context().clone();
        Link::new(producer, vec![KeyValue::new("messaging.message.id", id)], 0)
    });
    let count = i64::try_from(records.len()).unwrap_or(i64::MAX);
    let arn = &lambda.invoked_function_arn;
    tracer
        .span_builder(format!("process_batch {QUEUE}"))
        .with_kind(SpanKind::Consumer)
        .with_attributes([
            KeyValue::new("messaging.system", "aws_sqs"),
            KeyValue::new("messaging.operation.name", "process_batch"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.destination.name", QUEUE),
            KeyValue::new("messaging.batch.message_count", count),
            KeyValue::new("faas.trigger", "pubsub"),
            KeyValue::new("faas.invocation_id", lambda.request_id.clone()),
            KeyValue::new("faas.coldstart", false),
            KeyValue::new("aws.lambda.invoked_arn", arn.clone()),
            KeyValue::new(
                "cloud.account.id",
                arn.split(':').nth(4).unwrap_or_default().to_owned(),
            ),
            KeyValue::new("cloud.resource_id", arn.clone()),
        ])
        .with_links(links.collect())
        .start_with_context(tracer, &Context::new())
}

/// Starts a record's span: a child of the producer's span with a link to the batch span.
pub(crate) fn start_record(
    tracer: &SdkTracer,
    record: &SqsMessage,
    parent: &Context,
    batch: &SpanContext,
) -> Span {
    let now = SystemTime::now();
    let mut attributes = vec![
        KeyValue::new("messaging.system", "aws_sqs"),
        KeyValue::new("messaging.operation.name", "process"),
        KeyValue::new("messaging.operation.type", "process"),
        KeyValue::new("faas.trigger", "pubsub"),
        KeyValue::new("messaging.destination.name", QUEUE),
        KeyValue::new(
            "messaging.message.id",
            record.message_id.clone().unwrap_or_default(),
        ),
    ];
    if let Some(count) = numeric_attribute(record, "ApproximateReceiveCount") {
        attributes.push(KeyValue::new("baton.sqs.receive_count", count));
    }
    if let Some(sent) = numeric_attribute(record, "SentTimestamp") {
        let sent = UNIX_EPOCH + Duration::from_millis(u64::try_from(sent).unwrap_or_default());
        let latency = now.duration_since(sent).unwrap_or_default().as_secs_f64();
        attributes.push(KeyValue::new("baton.sqs.queue_latency", latency));
    }
    tracer
        .span_builder(format!("process {QUEUE}"))
        .with_kind(SpanKind::Consumer)
        .with_start_time(now)
        .with_attributes(attributes)
        .with_links(vec![Link::with_context(batch.clone())])
        .start_with_context(tracer, parent)
}

fn numeric_attribute(record: &SqsMessage, name: &str) -> Option<i64> {
    record.attributes.get(name)?.parse().ok()
}
