//! The spans of an invocation: one for the batch, one for each record. Names and attributes as in
//! the crate's documentation, which a test compares with what is emitted.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use baton_telemetry::with_message_id;
use lambda_runtime::Context as LambdaContext;
use opentelemetry::trace::{
    Link, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;
use opentelemetry_semantic_conventions::attribute as key;

use crate::config::TraceShape;
use crate::event::Record;
use crate::queue::{BatchQueues, Queue};
use crate::trace_context::ProducerContext;

/// Values that the semantic conventions fix and their crate has no constants for (v1.44: messaging
/// spans, SQS, FaaS spans).
const AWS_SQS: &str = "aws_sqs";
const PROCESS: &str = "process";
const PUBSUB: &str = "pubsub";
/// The operation of the batch span: no convention names it, and it must differ from that of the
/// records.
const PROCESS_BATCH: &str = "process_batch";

/// How often the message has been delivered, this time included.
const RECEIVE_COUNT: &str = "baton.sqs.receive_count";
/// Seconds from the acceptance of the message by SQS to the start of its processing.
const QUEUE_LATENCY: &str = "baton.sqs.queue_latency";
/// The group of a FIFO message.
const MESSAGE_GROUP_ID: &str = "baton.sqs.message_group_id";
/// Whether the queue's redrive policy takes the message away if it fails once more.
const NEXT_FAILURE_DEAD_LETTERS: &str = "baton.sqs.next_failure_dead_letters";
/// Where a message went that no further delivery would help.
const DEAD_LETTER_QUEUE: &str = "baton.sqs.dead_letter_queue";
/// Why the trace context that came with a message did not count.
const CONTEXT_INVALID: &str = "baton.context.invalid";

/// What a batch's span has at most, `error.type` included.
const MAX_BATCH_ATTRIBUTES: usize = 12;
/// What a record's span has at most, `error.type` and where it was moved aside.
const MAX_ATTRIBUTES: usize = 11;

/// How spans are made.
#[derive(Debug)]
pub(crate) struct InvocationSpans {
    pub(crate) tracer: SdkTracer,
    pub(crate) shape: TraceShape,
    pub(crate) max_receive_count: Option<NonZeroU32>,
}

/// What the spans of one invocation are made from.
#[derive(Debug)]
pub(crate) struct BatchContext {
    pub(crate) queues: BatchQueues,
    pub(crate) producers: Vec<ProducerContext>,
    /// The identifiers of the messages, shared by the links and the records' spans.
    pub(crate) ids: Vec<Option<Arc<str>>>,
    /// What spans without a parent are started in. No span is in it: whatever the runtime has
    /// opened around us is no parent.
    pub(crate) root: Context,
}

/// The invocation as Lambda tells of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InvocationInfo<'a> {
    pub(crate) context: &'a LambdaContext,
    pub(crate) is_cold_start: bool,
}

impl InvocationSpans {
    /// Starts the batch span: a trace of its own, with a link to each record's producer, or to what
    /// X-Ray knows of one that has none.
    pub(crate) fn start_batch(
        &self,
        invocation: InvocationInfo<'_>,
        batch: &BatchContext,
    ) -> Context {
        let count = batch.producers.len();
        let mut links = Vec::with_capacity(count);
        for (producer, id) in batch.producers.iter().zip(&batch.ids) {
            let sender = producer.parent.as_ref().or(producer.xray.as_ref());
            links.extend(sender.map(|sender| producer_link(sender.clone(), id)));
        }
        let queue = batch.queues.single_queue();
        let lambda = invocation.context;
        let mut attributes = Vec::with_capacity(MAX_BATCH_ATTRIBUTES);
        attributes.extend([
            KeyValue::new(key::MESSAGING_SYSTEM, AWS_SQS),
            KeyValue::new(key::MESSAGING_OPERATION_NAME, PROCESS_BATCH),
            KeyValue::new(key::MESSAGING_OPERATION_TYPE, PROCESS),
            KeyValue::new(
                key::MESSAGING_BATCH_MESSAGE_COUNT,
                i64::try_from(count).unwrap_or(i64::MAX),
            ),
            KeyValue::new(key::FAAS_TRIGGER, PUBSUB),
            KeyValue::new(key::FAAS_INVOCATION_ID, lambda.request_id.clone()),
            KeyValue::new(key::FAAS_COLDSTART, invocation.is_cold_start),
        ]);
        attributes.extend(queue.map(destination_attribute));
        attributes.extend(function_attributes(lambda).into_iter().flatten());
        let builder = SpanBuilder::from_name(span_name(PROCESS_BATCH, queue))
            .with_kind(SpanKind::Consumer)
            .with_attributes(attributes)
            .with_links(links);
        let span = self.tracer.build_with_context(builder, &batch.root);
        batch.root.with_span(span)
    }

    /// Starts a record's span: a child of the producer's span with a link to the batch span, or a
    /// child of the batch span with a link to the producer's. Lines logged in the returned context
    /// carry the message id.
    pub(crate) fn start_record(
        &self,
        batch_span: &Context,
        batch: &BatchContext,
        record: &Record<'_>,
        index: usize,
    ) -> Context {
        let producer = &batch.producers[index];
        let batch_span_context = batch_span.span().span_context().clone();
        let mut links = Vec::with_capacity(1);
        let parent = match self.shape {
            TraceShape::Continue => {
                links.push(Link::with_context(batch_span_context));
                producer.parent_context(&batch.root)
            }
            TraceShape::Batch => {
                links.extend(producer.parent.clone().map(Link::with_context));
                producer.with_baggage(batch_span)
            }
        };
        links.extend(producer.xray.clone().map(Link::with_context));
        let start = SystemTime::now();
        let queue = batch.queues.find_queue(record);
        let builder = SpanBuilder::from_name(span_name(PROCESS, queue))
            .with_kind(SpanKind::Consumer)
            .with_start_time(start)
            .with_attributes(self.record_attributes(batch, record, index, start))
            .with_links(links);
        let span = self.tracer.build_with_context(builder, &parent);
        let context = match &batch.ids[index] {
            Some(id) => with_message_id(&parent, Arc::clone(id)),
            None => parent,
        };
        context.with_span(span)
    }

    fn record_attributes(
        &self,
        batch: &BatchContext,
        record: &Record<'_>,
        index: usize,
        start: SystemTime,
    ) -> Vec<KeyValue> {
        let queue = batch.queues.find_queue(record);
        let mut attributes = Vec::with_capacity(MAX_ATTRIBUTES);
        attributes.extend([
            KeyValue::new(key::MESSAGING_SYSTEM, AWS_SQS),
            KeyValue::new(key::MESSAGING_OPERATION_NAME, PROCESS),
            KeyValue::new(key::MESSAGING_OPERATION_TYPE, PROCESS),
            KeyValue::new(key::FAAS_TRIGGER, PUBSUB),
        ]);
        attributes.extend(queue.map(destination_attribute));
        attributes.extend(batch.ids[index].as_ref().map(message_id_attribute));
        if let Some(count) = record.receive_count() {
            attributes.push(KeyValue::new(RECEIVE_COUNT, i64::from(count)));
            if self.max_receive_count.is_some_and(|max| count >= max.get()) {
                attributes.push(KeyValue::new(NEXT_FAILURE_DEAD_LETTERS, true));
            }
        }
        if let Some(sent) = record.sent_timestamp() {
            attributes.push(KeyValue::new(QUEUE_LATENCY, queue_latency(sent, start)));
        }
        if record.is_fifo() {
            let group = record.group_id().map(Cow::into_owned);
            attributes.extend(group.map(|group| KeyValue::new(MESSAGE_GROUP_ID, group)));
        }
        let invalid = batch.producers[index].invalid.as_ref();
        attributes.extend(invalid.map(|reason| KeyValue::new(CONTEXT_INVALID, reason.to_string())));
        attributes
    }
}

/// `operation queue`, or the operation alone.
fn span_name(operation: &'static str, queue: Option<&Queue>) -> Cow<'static, str> {
    match queue {
        Some(queue) => [operation, " ", queue.name()].concat().into(),
        None => operation.into(),
    }
}

fn destination_attribute(queue: &Queue) -> KeyValue {
    KeyValue::new(key::MESSAGING_DESTINATION_NAME, queue.name_value())
}

fn message_id_attribute(id: &Arc<str>) -> KeyValue {
    KeyValue::new(key::MESSAGING_MESSAGE_ID, Arc::clone(id))
}

fn producer_link(sender: SpanContext, id: &Option<Arc<str>>) -> Link {
    Link::new(sender, id.iter().map(message_id_attribute).collect(), 0)
}

/// What the invoked ARN tells (FaaS conventions: the resource id has the version that ran, not the
/// alias that was called).
fn function_attributes(lambda: &LambdaContext) -> Option<[KeyValue; 3]> {
    let invoked = &lambda.invoked_function_arn;
    let account = invoked.split(':').nth(4)?;
    let mut colons = invoked.match_indices(':').map(|(at, _)| at).skip(5);
    colons.next()?;
    let resource = match colons.next() {
        None => invoked.clone(),
        Some(end) => [&invoked[..=end], &lambda.env_config.version].concat(),
    };
    Some([
        KeyValue::new(key::AWS_LAMBDA_INVOKED_ARN, invoked.clone()),
        KeyValue::new(key::CLOUD_ACCOUNT_ID, account.to_owned()),
        KeyValue::new(key::CLOUD_RESOURCE_ID, resource),
    ])
}

/// Seconds since `sent` (milliseconds since 1970); clocks that disagree give zero, not less.
pub(crate) fn queue_latency(sent: u64, now: SystemTime) -> f64 {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_millis(sent))
        .as_secs_f64()
}

/// Puts a failure on the span of `context`. On success nothing is written: the conventions leave
/// the status unset.
pub(crate) fn record_failure(context: &Context, error_type: &'static str, description: String) {
    let span = context.span();
    span.set_attribute(KeyValue::new(key::ERROR_TYPE, error_type));
    span.set_status(Status::error(description));
}

/// Puts on the span of `context` where its message was moved.
pub(crate) fn record_dead_letter_queue(context: &Context, queue: &str) {
    let attribute = KeyValue::new(DEAD_LETTER_QUEUE, queue.to_owned());
    context.span().set_attribute(attribute);
}

#[cfg(test)]
#[cfg(feature = "dead-letter-queue")]
mod tests;
