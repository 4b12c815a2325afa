//! The spans of a call, according to the messaging conventions for SQS (v1.44).

use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{
    Link, SpanBuilder, SpanContext, SpanKind, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::attribute;

use crate::queue::QueueUrl;
use crate::span::{OPERATION, SYSTEM, queue_attributes};

/// `messaging.operation.name` and `messaging.operation.type` of the creation of a message.
const CREATE: &str = "create";

/// A span to start.
pub(super) struct NewSpan<'a> {
    operation: &'static str,
    /// `None` if the queue's URL does not parse.
    queue: Option<&'a QueueUrl>,
    kind: SpanKind,
    /// The contexts that the messages carry.
    links: Vec<SpanContext>,
    /// Number of messages, for a batch.
    message_count: Option<usize>,
}

impl<'a> NewSpan<'a> {
    /// Describes the creation of one message of a batch.
    pub(super) fn create(queue: Option<&'a QueueUrl>) -> Self {
        Self {
            operation: CREATE,
            queue,
            kind: SpanKind::Producer,
            links: Vec::new(),
            message_count: None,
        }
    }

    /// Describes a call. It is PRODUCER if a message carries its context.
    pub(super) fn send(
        queue: Option<&'a QueueUrl>,
        kind: SpanKind,
        links: Vec<SpanContext>,
    ) -> Self {
        Self {
            operation: OPERATION,
            queue,
            kind,
            links,
            message_count: None,
        }
    }

    pub(super) fn with_message_count(mut self, count: usize) -> Self {
        self.message_count = Some(count);
        self
    }

    /// Starts the span with all attributes that a sampler may need. Returns its context.
    pub(super) fn start(self, tracer: &BoxedTracer, parent: &Context) -> Context {
        let attributes = self.attributes();
        let name = match self.queue {
            Some(queue) => format!("{} {}", self.operation, queue.name()),
            None => self.operation.to_owned(),
        };
        let links = self.links.into_iter().map(Link::with_context);
        let builder = SpanBuilder::from_name(name)
            .with_kind(self.kind)
            .with_links(links.collect())
            .with_attributes(attributes);
        parent.with_span(tracer.build_with_context(builder, parent))
    }

    fn attributes(&self) -> Vec<KeyValue> {
        let mut attributes = vec![
            KeyValue::new(attribute::MESSAGING_SYSTEM, SYSTEM),
            KeyValue::new(attribute::MESSAGING_OPERATION_NAME, self.operation),
            KeyValue::new(attribute::MESSAGING_OPERATION_TYPE, self.operation),
        ];
        if let Some(queue) = self.queue {
            attributes.extend(queue_attributes(queue));
        }
        let count = self
            .message_count
            .and_then(|count| i64::try_from(count).ok());
        attributes.extend(
            count.map(|count| KeyValue::new(attribute::MESSAGING_BATCH_MESSAGE_COUNT, count)),
        );
        attributes
    }
}
