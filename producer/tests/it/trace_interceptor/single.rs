use aws_sdk_sqs::types::MessageAttributeValue;
use baton_producer::TraceInterceptor;
use baton_test_support::FakeSqs;
use baton_test_support::span_recorder::{attribute, list, traceparent};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{
    FutureExt as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags,
    TraceId, TraceState, Tracer as _,
};
use opentelemetry::{Context, KeyValue};

use super::{CALLERS, CALLERS_SPAN, Traced, attribute_names, links, sent_attribute, text};

const MAX_BYTES: usize = 1024 * 1024;
const TRACEPARENT_BYTES: usize = 11 + 6 + 55;

/// Returns a context with a trace state and baggage, so that the propagator writes three fields.
fn full_context() -> Context {
    let state = TraceState::from_key_value([("vendor", "position")]).unwrap();
    let remote = SpanContext::new(
        TraceId::from(1),
        SpanId::from(2),
        TraceFlags::SAMPLED,
        true,
        state,
    );
    Context::new()
        .with_remote_span_context(remote)
        .with_baggage([KeyValue::new("tenant", "blue")])
}

#[tokio::test]
async fn the_message_carries_the_context_of_its_send_span() {
    let traced = Traced::start().await;
    let sent = traced.message().message_attributes("tenant", text("blue"));
    let sent = sent.send().await.unwrap();
    assert_eq!(sent.message_id(), Some(FakeSqs::MESSAGE_ID));
    let span = traced.spans.find("send orders");
    assert_eq!(
        traced.sqs.attribute("traceparent"),
        Some(traceparent(&span))
    );
    assert_eq!(traced.sqs.attribute("tenant").as_deref(), Some("blue"));
    assert_eq!(traced.sqs.message()["MessageBody"], "body");
    assert_eq!(
        (span.span_kind.clone(), span.status.clone(), links(&span)),
        (SpanKind::Producer, Status::Unset, Vec::new())
    );
    assert_eq!(traced.spans.all().len(), 1);
}

#[tokio::test]
async fn the_span_has_the_attributes_of_the_conventions() {
    let traced = Traced::start().await;
    traced.message().send().await.unwrap();
    let span = traced.spans.find("send orders");
    for (key, value) in [
        ("messaging.system", "aws_sqs"),
        ("messaging.operation.name", "send"),
        ("messaging.operation.type", "send"),
        ("messaging.destination.name", "orders"),
        ("messaging.message.id", FakeSqs::MESSAGE_ID),
        ("messaging.batch.message_count", ""),
        ("aws.sqs.queue.url", &traced.queue_url()),
        ("aws.request_id", FakeSqs::REQUEST_ID),
        ("server.address", "127.0.0.1"),
        ("server.port", &traced.sqs.address.port().to_string()),
        ("error.type", ""),
        ("baton.context.dropped", ""),
    ] {
        assert_eq!(attribute(&span, key), value, "{key}");
    }
}

#[tokio::test]
async fn the_parent_is_the_current_span_of_the_caller() {
    let traced = Traced::start().await;
    let caller = Context::current_with_span(traced.spans.tracer().start("caller"));
    let sent = traced.message().send().with_context(caller.clone()).await;
    sent.unwrap();
    let span = traced.spans.find("send orders");
    let parent = caller.span().span_context().clone();
    assert_eq!(span.parent_span_id, parent.span_id());
    assert_eq!(span.span_context.trace_id(), parent.trace_id());
}

#[tokio::test]
async fn a_context_of_the_caller_is_kept_and_linked_and_gets_baggage() {
    let traced = Traced::start().await;
    let baggage = Context::current_with_baggage([KeyValue::new("tenant", "blue")]);
    let sent = traced.message();
    let sent = sent.message_attributes("traceparent", text(CALLERS)).send();
    sent.with_context(baggage).await.unwrap();
    let message = traced.sqs.message();
    assert_eq!(attribute_names(&message), ["baggage", "traceparent"]);
    assert_eq!(
        sent_attribute(&message, "traceparent").as_deref(),
        Some(CALLERS)
    );
    let span = traced.spans.find("send orders");
    assert_eq!(span.span_kind, SpanKind::Client);
    assert_eq!(links(&span), [CALLERS_SPAN]);
}

#[tokio::test]
async fn fields_without_a_free_attribute_are_dropped() {
    let table: [(usize, &[&str], &[&str]); 4] = [
        (7, &["baggage", "traceparent", "tracestate"], &[]),
        (8, &["traceparent", "tracestate"], &["baggage"]),
        (9, &["traceparent"], &["tracestate", "baggage"]),
        (10, &[], &["traceparent", "tracestate", "baggage"]),
    ];
    for (count, added, dropped) in table {
        let traced = Traced::start().await;
        let sent = (0..count).fold(traced.message(), |message, index| {
            message.message_attributes(format!("a{index}"), text("v"))
        });
        sent.send().with_context(full_context()).await.unwrap();
        let message = traced.sqs.message();
        assert_eq!(attribute_names(&message)[count..], *added, "{count}");
        let span = traced.spans.find("send orders");
        if dropped.is_empty() {
            assert_eq!(attribute(&span, "baton.context.dropped"), "");
        } else {
            assert_eq!(list(&span, "baton.context.dropped"), dropped, "{count}");
        }
        let is_carried = added.contains(&"traceparent");
        let kind = if is_carried {
            SpanKind::Producer
        } else {
            SpanKind::Client
        };
        assert_eq!(span.span_kind, kind, "{count}");
    }
}

#[tokio::test]
async fn a_message_does_not_exceed_the_limit_because_of_its_context() {
    for (free, is_added) in [(TRACEPARENT_BYTES, true), (TRACEPARENT_BYTES - 1, false)] {
        let traced = Traced::start().await;
        let digest = MessageAttributeValue::builder().data_type("Binary");
        let digest = digest.binary_value(aws_sdk_sqs::primitives::Blob::new([1; 100]));
        let attribute_bytes = "digest".len() + "Binary".len() + 100;
        let sent = traced
            .message()
            .message_body("x".repeat(MAX_BYTES - attribute_bytes - free))
            .message_attributes("digest", digest.build().unwrap());
        sent.send().await.unwrap();
        let added = traced.sqs.attribute("traceparent").is_some();
        assert_eq!(added, is_added, "{free} free bytes");
    }
}

/// Sends a message of this size to a queue with this `MaximumMessageSize`. Returns `true` if the
/// message carried a context.
async fn is_context_sent(
    bytes: usize,
    maximum_message_size: usize,
    configure: impl FnOnce(TraceInterceptor) -> TraceInterceptor,
) -> bool {
    let traced = Traced::start_with(configure).await;
    traced.sqs.set_maximum_message_size(maximum_message_size);
    let sent = traced.message().message_body("x".repeat(bytes));
    sent.send().await.unwrap();
    let is_sent = traced.sqs.attribute("traceparent").is_some();
    let span = traced.spans.find("send orders");
    let dropped = attribute(&span, "baton.context.dropped");
    assert_eq!(dropped.is_empty(), is_sent, "{dropped}");
    is_sent
}

#[tokio::test]
async fn a_context_does_not_make_a_message_exceed_256_kib() {
    let common = 256 * 1024;
    let unchanged = |interceptor| interceptor;
    assert!(is_context_sent(common - TRACEPARENT_BYTES, common, unchanged).await);
    assert!(!is_context_sent(common - TRACEPARENT_BYTES + 1, common, unchanged).await);
    assert!(!is_context_sent(common, common, unchanged).await);
    assert!(is_context_sent(common + 1, MAX_BYTES, unchanged).await);
}

#[tokio::test]
async fn a_context_does_not_make_a_message_exceed_the_stated_limit() {
    for limit in [1024, 256 * 1024, 512 * 1024] {
        let stated = |it: TraceInterceptor| it.with_maximum_message_size(limit);
        assert!(is_context_sent(limit - TRACEPARENT_BYTES, limit, stated).await);
        assert!(!is_context_sent(limit - TRACEPARENT_BYTES + 1, limit, stated).await);
    }
    let highest = |it: TraceInterceptor| it.with_maximum_message_size(MAX_BYTES);
    assert!(is_context_sent(256 * 1024, MAX_BYTES, highest).await);
}

#[tokio::test]
async fn a_queue_url_that_does_not_parse_leaves_out_the_queue() {
    let traced = Traced::start().await;
    let sent = traced.message().queue_url("orders").send().await;
    sent.unwrap();
    let span = traced.spans.find("send");
    assert_eq!(
        traced.sqs.attribute("traceparent"),
        Some(traceparent(&span))
    );
    assert_eq!(attribute(&span, "messaging.system"), "aws_sqs");
    assert_eq!(attribute(&span, "messaging.destination.name"), "");
}

#[tokio::test]
async fn an_interceptor_that_is_registered_twice_acts_once() {
    let traced = Traced::start().await;
    let second = TraceInterceptor::new().with_tracer(traced.spans.tracer());
    let sent = traced.message().customize().interceptor(second).send();
    sent.await.unwrap();
    let span = traced.spans.find("send orders");
    assert_eq!(span.span_kind, SpanKind::Producer);
    assert_eq!(
        traced.sqs.attribute("traceparent"),
        Some(traceparent(&span))
    );
}
