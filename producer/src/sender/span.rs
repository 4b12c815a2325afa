//! The span of one send, by the messaging conventions for SQS.

use baton_sqs::QueueUrl;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{
    Link, SpanBuilder, SpanContext, SpanKind, SpanRef, Status, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{SdkTracer, Span};
use opentelemetry_semantic_conventions::attribute;

use crate::message::Message;
use crate::propagation::{self, CallerContext};
use crate::sender::SendError;

/// `messaging.system` of SQS. The conventions crate has names of attributes only, not their values.
pub(super) const SYSTEM: &str = "aws_sqs";

/// `messaging.operation.name` and `messaging.operation.type` of a send: SQS and the conventions use
/// the same word.
pub(super) const OPERATION: &str = "send";

/// Names of the context fields that were left out because they exceeded a limit of SQS or of the
/// queue. Not a semantic convention.
const CONTEXT_DROPPED: &str = "baton.context.dropped";

/// Whose context the message carries.
#[derive(Debug)]
pub(super) enum Origin {
    /// This span's.
    OurSend,
    /// One that the caller put in; `None` where it does not parse.
    Caller(Option<SpanContext>),
    /// Nobody's: no propagator that is listed writes one.
    Nobody,
}

impl Origin {
    pub(super) fn of(message: &Message, propagator: &dyn TextMapPropagator) -> Self {
        let fields: Vec<String> = propagator.fields().map(str::to_owned).collect();
        if !propagation::has_trace_context(message, &fields) {
            return match propagation::tells_of_a_span(&fields) {
                true => Self::OurSend,
                false => Self::Nobody,
            };
        }
        // A fresh context, because a propagator answers a carrier that does not parse with the
        // context it was given.
        let callers =
            propagator.extract_with_context(&Context::new(), &CallerContext(&message.attributes));
        let span_context = callers.span().span_context().clone();
        Self::Caller(span_context.is_valid().then_some(span_context))
    }

    pub(super) fn is_callers(&self) -> bool {
        matches!(self, Self::Caller(_))
    }
}

/// Starts the span with everything that a sampler may want to know.
pub(super) fn start(
    tracer: &SdkTracer,
    queue: &QueueUrl,
    origin: &Origin,
    parent: &Context,
) -> Span {
    // The conventions: a send is PRODUCER if its own context is the message's, and otherwise CLIENT
    // with a link to the one that is.
    let (kind, links) = match origin {
        Origin::OurSend => (SpanKind::Producer, Vec::new()),
        Origin::Caller(creation) => (
            SpanKind::Client,
            creation.iter().cloned().map(Link::with_context).collect(),
        ),
        Origin::Nobody => (SpanKind::Client, Vec::new()),
    };
    let builder = SpanBuilder::from_name(format!("{OPERATION} {}", queue.name()))
        .with_kind(kind)
        .with_links(links)
        .with_attributes([
            KeyValue::new(attribute::MESSAGING_SYSTEM, SYSTEM),
            KeyValue::new(attribute::MESSAGING_OPERATION_NAME, OPERATION),
            KeyValue::new(attribute::MESSAGING_OPERATION_TYPE, OPERATION),
            KeyValue::new(
                attribute::MESSAGING_DESTINATION_NAME,
                queue.name().to_owned(),
            ),
            KeyValue::new(attribute::AWS_SQS_QUEUE_URL, queue.as_str().to_owned()),
            KeyValue::new(attribute::SERVER_ADDRESS, queue.host().to_owned()),
            KeyValue::new(attribute::SERVER_PORT, i64::from(queue.port())),
        ]);
    tracer.build_with_context(builder, parent)
}

pub(super) fn record_dropped(span: &SpanRef<'_>, dropped: Vec<String>) {
    if !dropped.is_empty() {
        let names: Vec<StringValue> = dropped.into_iter().map(StringValue::from).collect();
        span.set_attribute(KeyValue::new(
            CONTEXT_DROPPED,
            Value::Array(Array::String(names)),
        ));
    }
}

pub(super) fn record_accepted(
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

/// Ends the span. Success leaves its status unset, as the conventions demand.
pub(super) fn finish(span: &SpanRef<'_>, error: Option<&SendError>) {
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

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    /// The kind of the span that sends a message without a context.
    fn kind(propagator: &dyn TextMapPropagator) -> SpanKind {
        let queue = QueueUrl::parse("http://127.0.0.1:9324/000000000000/orders").unwrap();
        let origin = Origin::of(&Message::new("x"), propagator);
        let tracer = SdkTracerProvider::builder().build().tracer("test");
        let span = start(&tracer, &queue, &origin, &Context::new());
        span.exported_data().unwrap().span_kind
    }

    #[test]
    fn a_send_is_the_producer_only_if_its_context_travels() {
        assert_eq!(kind(&TraceContextPropagator::new()), SpanKind::Producer);
        assert_eq!(kind(&BaggagePropagator::new()), SpanKind::Client);
    }
}
