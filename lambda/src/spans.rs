//! Spans of an invocation: one for the batch, and one for each record.
//!
//! The crate documentation lists their names and attributes. A test compares the list with the
//! emitted spans.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use baton_telemetry::{MessageFields, with_message};
use lambda_runtime::Context as LambdaContext;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{
    Link, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::attribute as key;

use crate::config::TraceShape;
use crate::event::SqsRecord;
use crate::queue::{BatchQueues, Queue};
use crate::trace_context::ProducerContext;

/// Values of the semantic conventions that their crate has no constants for (v1.44: messaging
/// spans, SQS, FaaS spans).
const AWS_SQS: &str = "aws_sqs";
const PROCESS: &str = "process";
const PUBSUB: &str = "pubsub";
/// Operation of the batch span. The conventions do not name it, and it must differ from the
/// operation of the records.
const PROCESS_BATCH: &str = "process_batch";

/// Number of deliveries of the message, including this one.
const RECEIVE_COUNT: &str = "baton.sqs.receive_count";
/// Seconds from the acceptance of the message by SQS to the start of its processing.
const QUEUE_LATENCY: &str = "baton.sqs.queue_latency";
/// The group of a FIFO message.
const MESSAGE_GROUP_ID: &str = "baton.sqs.message_group_id";
/// `true` if the queue's redrive policy moves the message after one more failure.
const NEXT_FAILURE_DEAD_LETTERS: &str = "baton.sqs.next_failure_dead_letters";
/// Queue that a permanently failed message was moved to.
const DEAD_LETTER_QUEUE: &str = "baton.sqs.dead_letter_queue";
/// Type of a message that a router has handled.
pub(crate) const MESSAGE_TYPE: &str = "baton.message.type";
/// Parts of a message's trace context that were ignored, with the reasons.
const CONTEXT_INVALID: &str = "baton.context.invalid";

/// Maximum number of attributes of a batch span, including `error.type`.
const MAX_BATCH_ATTRIBUTES: usize = 12;
/// Maximum number of attributes of a record span, including `error.type`, the message type and the
/// dead-letter queue.
const MAX_ATTRIBUTES: usize = 12;

/// Starts the spans of invocations.
#[derive(Debug)]
pub(crate) struct InvocationSpans {
    pub(crate) tracer: BoxedTracer,
    pub(crate) shape: TraceShape,
    pub(crate) max_receive_count: Option<NonZeroU32>,
}

/// Properties of a batch that its spans record.
#[derive(Debug)]
pub(crate) struct BatchContext {
    pub(crate) queues: BatchQueues,
    pub(crate) producers: Vec<ProducerContext>,
    /// Message ids, shared by the links of the batch span and the record spans.
    pub(crate) ids: Vec<Option<Arc<str>>>,
    /// Context of spans without a parent. Holds no span, because a span of the runtime around the
    /// invocation must not become the parent.
    pub(crate) root: Context,
}

/// Properties of an invocation that the batch span records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InvocationInfo<'a> {
    pub(crate) context: &'a LambdaContext,
    pub(crate) is_cold_start: bool,
}

impl InvocationSpans {
    /// Starts the batch span. It starts a trace, and links to the producer of each record, or to
    /// the span in `AWSTraceHeader` if the record has no other context.
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

    /// Starts a record span: a child of the producer's span with a link to the batch span, or a
    /// child of the batch span with a link to the producer's span. Lines logged in the returned
    /// context carry the message id and `log_fields`.
    pub(crate) fn start_record(
        &self,
        batch_span: &Context,
        batch: &BatchContext,
        record: &SqsRecord<'_>,
        index: usize,
        log_fields: MessageFields,
    ) -> Context {
        let producer = &batch.producers[index];
        let batch_span_context = batch_span.span().span_context().clone();
        let mut links = Vec::with_capacity(1);
        let parent = match self.shape {
            TraceShape::Batch if batch_span_context.is_valid() => {
                links.extend(producer.parent.clone().map(Link::with_context));
                producer.with_baggage(batch_span)
            }
            // A disabled SDK makes no batch span, and must still propagate the producer's context.
            TraceShape::Batch | TraceShape::Continue => {
                links.push(Link::with_context(batch_span_context));
                producer.parent_context(&batch.root)
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
        let id = batch.ids[index].clone();
        with_message(&parent, id, log_fields).with_span(span)
    }

    fn record_attributes(
        &self,
        batch: &BatchContext,
        record: &SqsRecord<'_>,
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
            let latency = queue_latency(sent, start).as_secs_f64();
            attributes.push(KeyValue::new(QUEUE_LATENCY, latency));
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

/// Returns the operation followed by the queue, if it is known.
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

/// Returns the attributes that are parts of the invoked ARN. The resource id contains the running
/// version and not the invoked alias (FaaS conventions).
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

/// Returns the time since `sent`, which is in milliseconds since 1970. Returns zero if the clocks
/// disagree and `sent` is in the future.
pub(crate) fn queue_latency(sent: u64, now: SystemTime) -> Duration {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_millis(sent))
}

/// Sets the error status and `error.type` of the span of `context`. The status of a successful span
/// stays unset, as the conventions require.
pub(crate) fn set_failure(context: &Context, error_type: &'static str, description: String) {
    let span = context.span();
    span.set_attribute(KeyValue::new(key::ERROR_TYPE, error_type));
    span.set_status(Status::error(description));
}

/// Records on the span of `context` the queue that the message was moved to.
pub(crate) fn record_dead_letter_queue(context: &Context, queue: &str) {
    let attribute = KeyValue::new(DEAD_LETTER_QUEUE, queue.to_owned());
    context.span().set_attribute(attribute);
}

#[cfg(test)]
#[cfg(feature = "dead-letter-queue")]
mod tests;
