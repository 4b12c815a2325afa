//! The start of a call: its spans, and the trace context in its messages.

use std::panic::{AssertUnwindSafe, catch_unwind};

use aws_sdk_sqs::operation::send_message::SendMessageInput;
use aws_sdk_sqs::operation::send_message_batch::SendMessageBatchInput;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use opentelemetry::Context;
use opentelemetry::global::BoxedTracer;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt as _};

use super::call::{BatchMessage, Call};
use super::measurement::CallMeasurement;
use super::message::{AddedContext, MessageSummary};
use super::span::NewSpan;
use crate::added_attributes::AddedAttributes;
use crate::limits::MAX_MESSAGE_BYTES;
use crate::metrics::SendInstruments;
use crate::queue::QueueUrl;
use crate::span::record_dropped;
use crate::trace_context::{ContextSource, TRACEPARENT_BYTES};

/// The `MaximumMessageSize` that many queues have: SQS's limit until August 2025, and the default
/// of Terraform. A message that is larger is for a queue with a higher limit.
const COMMON_MAXIMUM_MESSAGE_SIZE: usize = 256 * 1024;

/// Starts the spans of a call and adds the trace context to its messages.
pub(super) struct Injector<'a> {
    pub(super) tracer: &'a BoxedTracer,
    pub(super) propagator: &'a dyn TextMapPropagator,
    /// `None` without a meter.
    pub(super) instruments: Option<&'a SendInstruments>,
    pub(super) has_create_spans: bool,
    /// The lowest `MaximumMessageSize` of the queues, if the program stated it.
    pub(super) max_message_bytes: Option<usize>,
}

/// A message, and the source of its trace context.
struct Detected {
    summary: MessageSummary,
    source: ContextSource,
}

impl Injector<'_> {
    pub(super) fn start_single(&self, input: &mut SendMessageInput) -> Call {
        let parent = Context::current();
        let queue = parse_queue_url(input.queue_url.as_deref());
        let summary = MessageSummary::from_input(input, self.propagator);
        let detected = self.detect(summary, MAX_MESSAGE_BYTES);
        let kind = match detected.source {
            ContextSource::Send => SpanKind::Producer,
            ContextSource::Message(_) | ContextSource::Missing => SpanKind::Client,
        };
        let links = detected.creation_context().into_iter().collect();
        let span = NewSpan::send(queue.as_ref(), kind, links);
        let mut call = Call {
            send: span.start(self.tracer, &parent),
            messages: Vec::new(),
            measurement: None,
        };
        let added = self.select(&detected, &call.send);
        let context = AddedContext::new(&added);
        record_dropped(&call.send.span(), added);
        context.add_to_input(input);
        call.measurement = self.start_measurement(queue.as_ref(), 1);
        call
    }

    pub(super) fn start_batch(&self, input: &mut SendMessageBatchInput) -> Call {
        let parent = Context::current();
        let queue = parse_queue_url(input.queue_url.as_deref());
        let entries = input.entries.as_deref_mut().unwrap_or_default();
        let mut messages = self.detect_batch(entries);
        let mut call = self.start_spans(&messages, entries, queue.as_ref(), &parent);
        let added = self.select_batch(&mut messages, &call);
        let contexts: Vec<AddedContext> = added.iter().map(AddedContext::new).collect();
        record_dropped_in_batch(&call, added);
        for (entry, context) in entries.iter_mut().zip(contexts) {
            context.add_to_entry(entry);
        }
        call.measurement = self.start_measurement(queue.as_ref(), call.messages.len());
        call
    }

    /// Determines the source of each message's context. Space for the `traceparent` of the messages
    /// is reserved in their order.
    fn detect_batch(&self, entries: &[SendMessageBatchRequestEntry]) -> Vec<Detected> {
        let summaries = entries.iter();
        let summaries: Vec<MessageSummary> = summaries
            .map(|entry| MessageSummary::from_entry(entry, self.propagator))
            .collect();
        let mut used: usize = summaries.iter().map(MessageSummary::size).sum();
        let mut detected = Vec::with_capacity(summaries.len());
        for summary in summaries {
            let others = used - summary.size();
            let message = self.detect(summary, MAX_MESSAGE_BYTES.saturating_sub(others));
            used += message.reserved_bytes();
            detected.push(message);
        }
        detected
    }

    fn start_spans(
        &self,
        messages: &[Detected],
        entries: &[SendMessageBatchRequestEntry],
        queue: Option<&QueueUrl>,
        parent: &Context,
    ) -> Call {
        let creates: Vec<Option<Context>> = messages
            .iter()
            .map(|message| {
                let has_span = self.has_create_spans && message.source == ContextSource::Send;
                has_span.then(|| NewSpan::create(queue).start(self.tracer, parent))
            })
            .collect();
        let is_carried = |message: &Detected| message.source == ContextSource::Send;
        let kind = if !self.has_create_spans && messages.iter().any(is_carried) {
            SpanKind::Producer
        } else {
            SpanKind::Client
        };
        let links = messages.iter().zip(&creates);
        let links = links.filter_map(|(message, create)| match create {
            Some(create) => Some(create.span().span_context().clone()),
            None => message.creation_context(),
        });
        let count = messages.len();
        let span = NewSpan::send(queue, kind, links.collect()).with_message_count(count);
        let ids = entries.iter().map(|entry| entry.id.clone());
        let messages = ids.zip(creates);
        let messages = messages.map(|(id, create)| BatchMessage { id, create });
        Call {
            send: span.start(self.tracer, parent),
            messages: messages.collect(),
            measurement: None,
        }
    }

    /// Starts the measurement once the context was added: if the tracer panics before, the SDK
    /// still makes the call, which must not count as failed.
    fn start_measurement(&self, queue: Option<&QueueUrl>, count: usize) -> Option<CallMeasurement> {
        let instruments = self.instruments?;
        Some(CallMeasurement::start(instruments, queue, count))
    }

    /// Decides which fields each message gets, so that the batch stays within the limit and no
    /// message takes the space reserved for the `traceparent` of a later one.
    fn select_batch(&self, messages: &mut [Detected], call: &Call) -> Vec<AddedAttributes> {
        let sizes = messages
            .iter()
            .map(|message| message.summary.size() + message.reserved_bytes());
        let mut used: usize = sizes.sum();
        let mut selected = Vec::with_capacity(messages.len());
        for (message, spans) in messages.iter_mut().zip(&call.messages) {
            used -= message.reserved_bytes();
            let others = used - message.summary.size();
            let max_bytes = MAX_MESSAGE_BYTES.saturating_sub(others);
            self.limit(&mut message.summary, max_bytes);
            let context = spans.create.as_ref().unwrap_or(&call.send);
            let added = self.select(message, context);
            used += added.size();
            selected.push(added);
        }
        selected
    }

    fn detect(&self, mut summary: MessageSummary, max_bytes: usize) -> Detected {
        self.limit(&mut summary, max_bytes);
        let source = catch_unwind(AssertUnwindSafe(|| {
            ContextSource::detect(&summary.message, self.propagator)
        }));
        Detected {
            summary,
            source: source.unwrap_or(ContextSource::Missing),
        }
    }

    /// Limits a message with its context to `max_bytes` and to what the queue is likely to accept.
    fn limit(&self, summary: &mut MessageSummary, max_bytes: usize) {
        let likely = if summary.size() <= COMMON_MAXIMUM_MESSAGE_SIZE {
            COMMON_MAXIMUM_MESSAGE_SIZE
        } else {
            MAX_MESSAGE_BYTES
        };
        summary.set_max_bytes(max_bytes.min(self.max_message_bytes.unwrap_or(likely)));
    }

    fn select(&self, message: &Detected, context: &Context) -> AddedAttributes {
        let Detected { summary, source } = message;
        catch_unwind(AssertUnwindSafe(|| {
            source.select_attributes(&summary.message, self.propagator, context)
        }))
        .unwrap_or_default()
    }
}

impl Detected {
    /// The context that the program put into the message.
    fn creation_context(&self) -> Option<SpanContext> {
        match &self.source {
            ContextSource::Message(creation) => creation.clone(),
            ContextSource::Send | ContextSource::Missing => None,
        }
    }

    /// Bytes that are kept free for the message's `traceparent`.
    fn reserved_bytes(&self) -> usize {
        match self.source {
            ContextSource::Send => TRACEPARENT_BYTES,
            ContextSource::Message(_) | ContextSource::Missing => 0,
        }
    }
}

/// Parses the queue's URL. If it is invalid, the call is still made, because it is the program's.
fn parse_queue_url(url: Option<&str>) -> Option<QueueUrl> {
    QueueUrl::parse(url?).ok()
}

/// Records the dropped fields of each message on its `create` span, and those of all messages on
/// the `send` span.
fn record_dropped_in_batch(call: &Call, added: Vec<AddedAttributes>) {
    let mut batch = AddedAttributes::default();
    for (message, added) in call.messages.iter().zip(added) {
        for name in &added.dropped_context {
            if !batch.dropped_context.contains(name) {
                batch.dropped_context.push(name.clone());
            }
        }
        if let Some(create) = &message.create {
            record_dropped(&create.span(), added);
        }
    }
    record_dropped(&call.send.span(), batch);
}
