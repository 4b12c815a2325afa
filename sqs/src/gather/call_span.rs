//! The span of a call, according to the conventions for the AWS SDK (v1.44).

use opentelemetry::trace::{
    Link, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::attribute;

use super::call::{EntryFailure, EntryResult};
use super::dispatcher::Dispatcher;
use super::entry::Entry;
use crate::span::{SYSTEM, SpanGuard};

const NAME: &str = "SQS.SendMessageBatch";
/// `rpc.system` of every call of an AWS SDK. The attribute has been renamed since, but not on the
/// page for the AWS SDK.
const RPC_SYSTEM: (&str, &str) = ("rpc.system", "aws-api");
const RPC_METHOD: &str = "SendMessageBatch";

/// Starts the span of a call with links to the sends of its messages.
///
/// It has no parent, even if the call has only one message: a trace then has the same spans at
/// every rate of messages. Returns `None` if no send is sampled, or if the sender omits the spans
/// of calls.
pub(super) fn start(dispatcher: &Dispatcher, entries: &[Entry]) -> Option<SpanGuard> {
    if !dispatcher.config.call_spans {
        return None;
    }
    let queue = &dispatcher.queue;
    let sends = entries
        .iter()
        .map(|entry| entry.traced.context.span().span_context().clone());
    let links: Vec<Link> = sends
        .filter(|send| send.is_valid())
        .map(Link::with_context)
        .collect();
    if !links.iter().any(|link| link.span_context.is_sampled()) {
        return None;
    }
    let parent = Context::new();
    let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
    let builder = SpanBuilder::from_name(NAME)
        .with_kind(SpanKind::Client)
        .with_links(links)
        .with_attributes([
            KeyValue::new(RPC_SYSTEM.0, RPC_SYSTEM.1),
            KeyValue::new(attribute::RPC_METHOD, RPC_METHOD),
            KeyValue::new(attribute::MESSAGING_SYSTEM, SYSTEM),
            KeyValue::new(attribute::MESSAGING_BATCH_MESSAGE_COUNT, count),
            KeyValue::new(attribute::AWS_SQS_QUEUE_URL, queue.as_str().to_owned()),
            KeyValue::new(attribute::SERVER_ADDRESS, queue.host().to_owned()),
            KeyValue::new(attribute::SERVER_PORT, i64::from(queue.port())),
        ]);
    let span = dispatcher.tracer.get().build_with_context(builder, &parent);
    Some(SpanGuard(parent.with_span(span)))
}

/// Ends the span, with an error if the whole call failed.
pub(super) fn finish(guard: &SpanGuard, results: &[EntryResult]) {
    let span = guard.0.span();
    let Some(result) = results.first() else {
        return;
    };
    if let Some(request_id) = result.request_id() {
        span.set_attribute(KeyValue::new(
            attribute::AWS_REQUEST_ID,
            request_id.to_owned(),
        ));
    }
    if let EntryResult::Failed(EntryFailure {
        error,
        is_whole_call: true,
        ..
    }) = result
    {
        let error_type = error.error_type().to_owned();
        span.set_attribute(KeyValue::new(attribute::ERROR_TYPE, error_type));
        span.set_status(Status::error(error.to_string()));
    }
    span.end();
}
