//! The span of a send, according to the messaging conventions for SQS (v1.44).

use opentelemetry::trace::{
    Link, SpanBuilder, SpanKind, SpanRef, Status, TraceContextExt as _, Tracer,
};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use opentelemetry_semantic_conventions::attribute;

use crate::added_attributes::AddedAttributes;
use crate::error::QueueSendError;
use crate::error_type;
use crate::queue::QueueUrl;
use crate::trace_context::ContextSource;

/// `messaging.system` of SQS. The conventions crate has the names of attributes only, not their
/// values.
pub(crate) const SYSTEM: &str = "aws_sqs";

/// `messaging.operation.name` and `messaging.operation.type` of a send: SQS and the conventions use
/// the same word.
pub(crate) const OPERATION: &str = "send";

/// Number of attributes of the span of a successful send, with the two ids of the response.
const ATTRIBUTES: usize = 9;

/// Names of the context fields that were dropped because they exceeded a limit of SQS or of the
/// queue. Not a semantic convention.
const DROPPED_CONTEXT: &str = "baton.context.dropped";

/// Names of other attributes that were not sent. Only messages to a dead-letter queue have
/// attributes that may be dropped. Not a semantic convention.
const DROPPED_ATTRIBUTES: &str = "baton.attributes.dropped";

/// A value in the context of a call that has a span of this crate, so that a [`TraceInterceptor`]
/// of the same client does not record the call again.
///
/// [`TraceInterceptor`]: crate::TraceInterceptor
#[derive(Debug)]
pub(crate) struct TracedCall;

/// Ends a span as failed when it is dropped, unless the span has ended by then.
///
/// A dropped future does not run the code after its `await`, and a span that is only dropped ends
/// as if the send had succeeded.
#[derive(Debug)]
pub(crate) struct SpanGuard(pub(crate) Context);

/// Starts the span with all attributes that a sampler may need.
pub(crate) fn start<T: Tracer>(
    tracer: &T,
    queue: &QueueUrl,
    source: &ContextSource,
    parent: &Context,
) -> T::Span {
    // The conventions define a send as PRODUCER if the message carries the context of the send.
    // Otherwise it is CLIENT and has a link to the context that the message carries.
    let (kind, links) = match source {
        ContextSource::Send => (SpanKind::Producer, Vec::new()),
        ContextSource::Message(creation) => (
            SpanKind::Client,
            creation.iter().cloned().map(Link::with_context).collect(),
        ),
        ContextSource::Missing => (SpanKind::Client, Vec::new()),
    };
    let mut attributes = Vec::with_capacity(ATTRIBUTES);
    attributes.extend([
        KeyValue::new(attribute::MESSAGING_SYSTEM, SYSTEM),
        KeyValue::new(attribute::MESSAGING_OPERATION_NAME, OPERATION),
        KeyValue::new(attribute::MESSAGING_OPERATION_TYPE, OPERATION),
    ]);
    attributes.extend(queue_attributes(queue));
    let builder = SpanBuilder::from_name(format!("{OPERATION} {}", queue.name()))
        .with_kind(kind)
        .with_links(links)
        .with_attributes(attributes);
    tracer.build_with_context(builder, parent)
}

/// Returns the attributes of a messaging span that describe its queue.
pub(crate) fn queue_attributes(queue: &QueueUrl) -> [KeyValue; 4] {
    [
        KeyValue::new(
            attribute::MESSAGING_DESTINATION_NAME,
            queue.name().to_owned(),
        ),
        KeyValue::new(attribute::AWS_SQS_QUEUE_URL, queue.as_str().to_owned()),
        KeyValue::new(attribute::SERVER_ADDRESS, queue.host().to_owned()),
        KeyValue::new(attribute::SERVER_PORT, i64::from(queue.port())),
    ]
}

/// Records the names of dropped attributes.
pub(crate) fn record_dropped(span: &SpanRef<'_>, added: AddedAttributes) {
    for (key, names) in [
        (DROPPED_CONTEXT, added.dropped_context),
        (DROPPED_ATTRIBUTES, added.dropped_optional),
    ] {
        if !names.is_empty() {
            let names: Vec<StringValue> = names.into_iter().map(StringValue::from).collect();
            span.set_attribute(KeyValue::new(key, Value::Array(Array::String(names))));
        }
    }
}

/// Records the ids in the response.
pub(crate) fn record_accepted(
    span: &SpanRef<'_>,
    message_id: Option<&str>,
    request_id: Option<&str>,
) {
    for (key, value) in [
        (attribute::MESSAGING_MESSAGE_ID, message_id),
        (attribute::AWS_REQUEST_ID, request_id),
    ] {
        if let Some(value) = value {
            span.set_attribute(KeyValue::new(key, value.to_owned()));
        }
    }
}

/// Ends the span. On success its status remains unset, as the conventions require.
pub(crate) fn finish(span: &SpanRef<'_>, error: Option<&QueueSendError>) {
    if let Some(error) = error {
        span.set_attribute(KeyValue::new(
            attribute::ERROR_TYPE,
            error.error_type().to_owned(),
        ));
        if let Some(request_id) = error.request_id() {
            span.set_attribute(KeyValue::new(
                attribute::AWS_REQUEST_ID,
                request_id.to_owned(),
            ));
        }
        span.set_status(Status::error(error.to_string()));
    }
    span.end();
}

impl Drop for SpanGuard {
    fn drop(&mut self) {
        let span = self.0.span();
        if !span.is_recording() {
            return;
        }
        let error_type = error_type::classify_drop();
        span.set_attribute(KeyValue::new(attribute::ERROR_TYPE, error_type));
        span.set_status(Status::error("the send ended before SQS responded"));
        span.end();
    }
}

#[cfg(test)]
mod tests;
