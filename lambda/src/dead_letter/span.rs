//! The span of one send, by the messaging conventions for SQS.

use baton_sqs::QueueUrl;
use opentelemetry::trace::{
    Link, SpanBuilder, SpanKind, SpanRef, Status, TraceContextExt as _, Tracer,
};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use opentelemetry_semantic_conventions::attribute as key;

use crate::dead_letter::DeadLetterError;
use crate::dead_letter::origin::Origin;

/// `messaging.system` of SQS. The conventions crate has names of attributes only, not their values.
const SYSTEM: &str = "aws_sqs";
/// `messaging.operation.name` and `messaging.operation.type` of a send: SQS and the conventions use
/// the same word.
const OPERATION: &str = "send";
/// Names of the attributes that did not go with the message.
const LEFT_OUT: &str = "baton.dead_letter.left_out";
/// `error.type` of a send that nobody waited for to the end.
const TYPE_CANCELLED: &str = "cancelled";

/// Starts the span under `parent`, with everything that a sampler may want to know.
pub(super) fn start<T: Tracer>(
    tracer: &T,
    queue: &QueueUrl,
    origin: &Origin,
    parent: &Context,
) -> T::Span {
    // The conventions: a send is PRODUCER if its own context is the message's, and otherwise CLIENT
    // with a link to the one that is.
    let (kind, links) = match origin {
        Origin::Send => (SpanKind::Producer, Vec::new()),
        Origin::Message(Some(creation)) => {
            (SpanKind::Client, vec![Link::with_context(creation.clone())])
        }
        Origin::Message(None) | Origin::Nowhere => (SpanKind::Client, Vec::new()),
    };
    let builder = SpanBuilder::from_name(format!("{OPERATION} {}", queue.name()))
        .with_kind(kind)
        .with_links(links)
        .with_attributes([
            KeyValue::new(key::MESSAGING_SYSTEM, SYSTEM),
            KeyValue::new(key::MESSAGING_OPERATION_NAME, OPERATION),
            KeyValue::new(key::MESSAGING_OPERATION_TYPE, OPERATION),
            KeyValue::new(key::MESSAGING_DESTINATION_NAME, queue.name().to_owned()),
            KeyValue::new(key::AWS_SQS_QUEUE_URL, queue.as_str().to_owned()),
            KeyValue::new(key::SERVER_ADDRESS, queue.host().to_owned()),
            KeyValue::new(key::SERVER_PORT, i64::from(queue.port())),
        ]);
    tracer.build_with_context(builder, parent)
}

pub(super) fn record_left_out(span: &SpanRef<'_>, names: Vec<String>) {
    if !names.is_empty() {
        let names: Vec<StringValue> = names.into_iter().map(StringValue::from).collect();
        span.set_attribute(KeyValue::new(LEFT_OUT, Value::Array(Array::String(names))));
    }
}

pub(super) fn record_accepted(span: &SpanRef<'_>, message_id: Option<&str>, request: Option<&str>) {
    for (key, value) in [
        (key::MESSAGING_MESSAGE_ID, message_id),
        (key::AWS_REQUEST_ID, request),
    ] {
        if let Some(value) = value {
            span.set_attribute(KeyValue::new(key, value.to_owned()));
        }
    }
}

/// Ends the span. Success leaves its status unset, as the conventions demand.
pub(super) fn finish(span: &SpanRef<'_>, error: Option<&DeadLetterError>) {
    if let Some(error) = error {
        let error_type = error.error_type().to_owned();
        span.set_attribute(KeyValue::new(key::ERROR_TYPE, error_type));
        if let Some(request_id) = error.request_id() {
            let request_id = request_id.to_owned();
            span.set_attribute(KeyValue::new(key::AWS_REQUEST_ID, request_id));
        }
        span.set_status(Status::error(error.to_string()));
    }
    span.end();
}

/// Ends the context's span as cancelled when it is dropped, unless the span has ended by then.
///
/// A future that the deadline drops runs no code after its `await`, and a span that is merely
/// dropped ends as if all had gone well.
#[derive(Debug)]
pub(super) struct Unfinished(pub(super) Context);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let span = self.0.span();
        if span.is_recording() {
            span.set_attribute(KeyValue::new(key::ERROR_TYPE, TYPE_CANCELLED));
            span.set_status(Status::error(
                "the send was given up before it was answered",
            ));
            span.end();
        }
    }
}
