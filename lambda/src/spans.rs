//! The spans of an invocation: one for the batch, one for each record. Names and attributes as in the crate's documentation.

use crate::context::Origin;
use crate::event::{Batch, Record};
use lambda_runtime::Context as LambdaContext;
use opentelemetry::trace::{
    Link, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Context, KeyValue, StringValue};
use opentelemetry_sdk::trace::SdkTracer;
use opentelemetry_semantic_conventions::attribute as key;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Values that the semantic conventions fix and their crate has no constants for (v1.44: messaging spans, SQS, FaaS spans).
const AWS_SQS: &str = "aws_sqs";
const PROCESS: &str = "process";
const PUBSUB: &str = "pubsub";
/// The operation of the batch span: no convention names it, and it must differ from that of the records.
const PROCESS_BATCH: &str = "process_batch";

/// How often the message has been delivered, this time included.
pub(crate) const RECEIVE_COUNT: &str = "baton.sqs.receive_count";
/// Seconds from the acceptance of the message by SQS to the start of its processing.
pub(crate) const QUEUE_LATENCY: &str = "baton.sqs.queue_latency";
/// The group of a FIFO message.
pub(crate) const MESSAGE_GROUP_ID: &str = "baton.sqs.message_group_id";
/// Why the trace context that came with a message did not count.
pub(crate) const CONTEXT_INVALID: &str = "baton.context.invalid";

/// Where an invocation's records come from, when all come from one queue.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    name: Arc<str>,
}

impl Queue {
    /// The last part of the queue's ARN.
    pub(crate) fn of(record: &Record<'_>) -> Option<Self> {
        let arn = record.queue_arn()?;
        let name = arn.rsplit(':').next().filter(|name| !name.is_empty())?;
        Some(Self { name: name.into() })
    }

    /// The one queue of a batch; `None` when there are several.
    pub(crate) fn of_all(batch: &Batch) -> Option<Self> {
        let mut records = batch.records();
        let first = records.next()?;
        let arn = first.queue_arn()?;
        records
            .all(|record| record.queue_arn().as_deref() == Some(&*arn))
            .then(|| Self::of(&first))
            .flatten()
    }

    fn destination(&self) -> KeyValue {
        let name = StringValue::from(Arc::clone(&self.name));
        KeyValue::new(key::MESSAGING_DESTINATION_NAME, name)
    }
}

/// `operation queue`, or the operation alone.
fn span_name(operation: &'static str, queue: Option<&Queue>) -> Cow<'static, str> {
    match queue {
        Some(queue) => format!("{operation} {}", queue.name).into(),
        None => operation.into(),
    }
}

/// Starts the batch span: a trace of its own, with a link to each record's producer.
pub(crate) fn start_batch(
    tracer: &SdkTracer,
    lambda: &LambdaContext,
    is_cold_start: bool,
    batch: &Batch,
    queue: Option<&Queue>,
    origins: &[Origin],
) -> Context {
    let links = batch
        .records()
        .zip(origins)
        .filter_map(|(record, origin)| Some(link(&record, origin.producer.clone()?)))
        .collect();
    let count = i64::try_from(batch.len()).unwrap_or(i64::MAX);
    let mut attributes = vec![
        KeyValue::new(key::MESSAGING_SYSTEM, AWS_SQS),
        KeyValue::new(key::MESSAGING_OPERATION_NAME, PROCESS_BATCH),
        KeyValue::new(key::MESSAGING_OPERATION_TYPE, PROCESS),
        KeyValue::new(key::MESSAGING_BATCH_MESSAGE_COUNT, count),
        KeyValue::new(key::FAAS_TRIGGER, PUBSUB),
        KeyValue::new(key::FAAS_INVOCATION_ID, lambda.request_id.clone()),
        KeyValue::new(key::FAAS_COLDSTART, is_cold_start),
    ];
    attributes.extend(queue.map(Queue::destination));
    attributes.extend(function_attributes(lambda));
    let builder = SpanBuilder::from_name(span_name(PROCESS_BATCH, queue))
        .with_kind(SpanKind::Consumer)
        .with_attributes(attributes)
        .with_links(links);
    // From an empty context: whatever the runtime has opened around us is no parent.
    let root = Context::new();
    let span = tracer.build_with_context(builder, &root);
    root.with_span(span)
}

fn link(record: &Record<'_>, producer: SpanContext) -> Link {
    let id = record.message_id().map(Cow::into_owned);
    let attributes = id.map(|id| KeyValue::new(key::MESSAGING_MESSAGE_ID, id));
    Link::new(producer, attributes.into_iter().collect(), 0)
}

/// What the invoked ARN tells (FaaS conventions: the resource id has the version that ran, not the alias that was called).
fn function_attributes(lambda: &LambdaContext) -> Vec<KeyValue> {
    let invoked = &lambda.invoked_function_arn;
    let parts: Vec<&str> = invoked.split(':').collect();
    let [_, _, _, _, account, _, _, ref qualifier @ ..] = parts[..] else {
        return Vec::new();
    };
    let resource = match qualifier {
        [] => invoked.clone(),
        _ => format!("{}:{}", parts[..7].join(":"), lambda.env_config.version),
    };
    vec![
        KeyValue::new(key::AWS_LAMBDA_INVOKED_ARN, invoked.clone()),
        KeyValue::new(key::CLOUD_ACCOUNT_ID, account.to_owned()),
        KeyValue::new(key::CLOUD_RESOURCE_ID, resource),
    ]
}

/// Starts a record's span as a child of the producer's and linked to the batch span.
pub(crate) fn start_record(
    tracer: &SdkTracer,
    batch_span: &SpanContext,
    record: &Record<'_>,
    origin: &Origin,
) -> Context {
    let queue = Queue::of(record);
    let mut attributes = Vec::with_capacity(8);
    attributes.extend([
        KeyValue::new(key::MESSAGING_SYSTEM, AWS_SQS),
        KeyValue::new(key::MESSAGING_OPERATION_NAME, PROCESS),
        KeyValue::new(key::MESSAGING_OPERATION_TYPE, PROCESS),
        KeyValue::new(key::FAAS_TRIGGER, PUBSUB),
    ]);
    attributes.extend(queue.as_ref().map(Queue::destination));
    if let Some(id) = record.message_id() {
        attributes.push(KeyValue::new(key::MESSAGING_MESSAGE_ID, id.into_owned()));
    }
    let start = SystemTime::now();
    attributes.extend(delivery_attributes(record, start));
    if let Some(invalid) = &origin.invalid {
        attributes.push(KeyValue::new(CONTEXT_INVALID, invalid.to_string()));
    }
    let builder = SpanBuilder::from_name(span_name(PROCESS, queue.as_ref()))
        .with_kind(SpanKind::Consumer)
        .with_start_time(start)
        .with_attributes(attributes)
        .with_links(vec![Link::with_context(batch_span.clone())]);
    let parent = origin.parent();
    let span = tracer.build_with_context(builder, &parent);
    parent.with_span(span)
}

fn delivery_attributes(record: &Record<'_>, now: SystemTime) -> impl Iterator<Item = KeyValue> {
    let attributes = record.system_attributes();
    let count = attributes.receive_count();
    let latency = attributes
        .sent_timestamp()
        .map(|sent| queue_latency(sent, now));
    let is_fifo = record.is_fifo();
    let group = attributes.into_message_group_id().filter(|_| is_fifo);
    [
        count.map(|count| KeyValue::new(RECEIVE_COUNT, i64::from(count))),
        latency.map(|seconds| KeyValue::new(QUEUE_LATENCY, seconds)),
        group.map(|group| KeyValue::new(MESSAGE_GROUP_ID, group.into_owned())),
    ]
    .into_iter()
    .flatten()
}

/// Seconds since `sent` (milliseconds since 1970); clocks that disagree give zero, not less.
fn queue_latency(sent: u64, now: SystemTime) -> f64 {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let sent = std::time::Duration::from_millis(sent);
    now.saturating_sub(sent).as_secs_f64()
}

/// Puts a failure on the span of `context`. On success nothing is written: the conventions leave the status unset.
pub(crate) fn record_failure(context: &Context, error_type: &'static str, description: String) {
    let span = context.span();
    span.set_attribute(KeyValue::new(key::ERROR_TYPE, error_type));
    span.set_status(Status::error(description));
}
