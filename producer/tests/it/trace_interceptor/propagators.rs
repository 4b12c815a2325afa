use std::sync::LazyLock;

use aws_sdk_sqs::types::{MessageSystemAttributeNameForSends, MessageSystemAttributeValue};
use baton_producer::TraceInterceptor;
use baton_telemetry::Propagator;
use baton_test_support::span_recorder::traceparent;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::noop::NoopTextMapPropagator;
use opentelemetry::trace::{FutureExt as _, SpanKind, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, global};

use super::{CALLERS, Traced, attribute_names, entry, links, text};
use crate::support::metric_recorder::{MetricRecorder, durations, sent};

static TRACEPARENT: LazyLock<[String; 1]> = LazyLock::new(|| ["traceparent".to_owned()]);

const HEADER: &str = "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1";

/// A propagator with an error in the named method.
#[derive(Debug)]
enum Panicking {
    Fields,
    Inject,
    Extract,
}

impl TextMapPropagator for Panicking {
    fn inject_context(&self, _: &Context, injector: &mut dyn Injector) {
        injector.set("traceparent", "half".to_owned());
        panic!("an error of the propagator");
    }

    fn extract_with_context(&self, _: &Context, _: &dyn Extractor) -> Context {
        panic!("an error of the propagator");
    }

    fn fields(&self) -> FieldIter<'_> {
        match self {
            Self::Fields => panic!("an error of the propagator"),
            Self::Inject | Self::Extract => FieldIter::new(&*TRACEPARENT),
        }
    }
}

fn trace_header() -> MessageSystemAttributeValue {
    let header = MessageSystemAttributeValue::builder().data_type("String");
    header.string_value(HEADER).build().unwrap()
}

/// Returns the propagator of a program that lists `xray`.
fn xray() -> Propagator {
    let mut propagator = Propagator::default();
    propagator.xray = true;
    propagator
}

fn with_xray(interceptor: TraceInterceptor) -> TraceInterceptor {
    interceptor.with_propagator(xray())
}

#[tokio::test]
async fn without_a_propagator_nothing_is_added() {
    let configure = |it: TraceInterceptor| it.with_propagator(NoopTextMapPropagator::new());
    let traced = Traced::start_with(configure).await;
    let caller = Context::current_with_span(traced.spans.tracer().start("caller"));
    let sent = traced.message().send().with_context(caller).await;
    sent.unwrap();
    assert_eq!(
        traced.sqs.message()["MessageAttributes"],
        serde_json::Value::Null
    );
    let span = traced.spans.find("send orders");
    assert_eq!(
        (span.span_kind.clone(), links(&span)),
        (SpanKind::Client, Vec::new())
    );
}

#[tokio::test]
async fn without_a_propagator_a_batch_has_no_create_spans() {
    let configure = |it: TraceInterceptor| it.with_propagator(NoopTextMapPropagator::new());
    let traced = Traced::start_with(configure).await;
    traced.batch([entry("a"), entry("b")]).send().await.unwrap();
    assert_eq!(traced.spans.all().len(), 1);
    let span = traced.spans.find("send orders");
    assert_eq!(
        (span.span_kind.clone(), links(&span)),
        (SpanKind::Client, Vec::new())
    );
}

#[tokio::test]
async fn without_a_tracer_the_message_carries_the_context_of_the_caller() {
    let traced = Traced::start_with(|it| it.with_tracer(global::tracer("none"))).await;
    let caller = Context::current_with_span(traced.spans.tracer().start("caller"));
    let sent = traced.message().send().with_context(caller.clone()).await;
    sent.unwrap();
    caller.span().end();
    let expected = traceparent(&traced.spans.find("caller"));
    assert_eq!(traced.sqs.attribute("traceparent"), Some(expected));
}

#[tokio::test]
async fn a_panic_of_the_propagator_does_not_fail_the_call() {
    for (propagator, kind) in [
        (Panicking::Fields, SpanKind::Client),
        (Panicking::Inject, SpanKind::Producer),
    ] {
        let metrics = MetricRecorder::new();
        let meter = metrics.meter();
        let configure = |it: TraceInterceptor| it.with_propagator(propagator).with_meter(&meter);
        let traced = Traced::start_with(configure).await;
        traced.message().send().await.unwrap();
        assert!(attribute_names(&traced.sqs.message()).is_empty());
        assert_eq!(traced.spans.find("send orders").span_kind, kind);
        traced.batch([entry("a")]).send().await.unwrap();
        let entry = &traced.sqs.calls()[1].body["Entries"][0];
        assert!(attribute_names(entry).is_empty());
        let queue = "messaging.destination.name=orders,";
        let expected = (sent(&[(queue, 2)]), durations(&[(queue, 2)]));
        assert_eq!(metrics.recorded(), expected);
    }
}

#[tokio::test]
async fn a_message_with_a_context_is_unchanged_if_the_propagator_panics() {
    let traced = Traced::start_with(|it| it.with_propagator(Panicking::Extract)).await;
    let sent = traced.message();
    let sent = sent.message_attributes("traceparent", text(CALLERS));
    let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
    let sent = sent.message_system_attributes(name, trace_header());
    sent.send().await.unwrap();
    assert_eq!(
        traced.sqs.attribute("traceparent").as_deref(),
        Some(CALLERS)
    );
    assert!(traced.spans.all().is_empty());
}

#[tokio::test]
async fn a_listed_xray_propagator_writes_the_system_attribute() {
    let traced = Traced::start_with(with_xray).await;
    traced.message().send().await.unwrap();
    let span = traced.spans.find("send orders");
    let header = &traced.sqs.message()["MessageSystemAttributes"]["AWSTraceHeader"];
    let header = header["StringValue"].as_str().unwrap();
    let parent = format!("Parent={}", span.span_context.span_id());
    assert!(header.contains(&parent), "{header}");
}

#[tokio::test]
async fn a_trace_header_of_the_caller_is_kept_and_linked() {
    let traced = Traced::start_with(with_xray).await;
    let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
    let sent = traced
        .message()
        .message_system_attributes(name, trace_header());
    sent.send().await.unwrap();
    let message = traced.sqs.message();
    assert_eq!(
        message["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"],
        HEADER
    );
    assert!(attribute_names(&message).is_empty());
    let span = traced.spans.find("send orders");
    assert_eq!(
        (span.span_kind.clone(), links(&span)),
        (SpanKind::Client, vec!["b7ad6b7169203331".to_owned()])
    );
}

#[tokio::test]
async fn other_operations_are_unchanged() {
    let traced = Traced::start().await;
    let purge = traced.client.purge_queue().queue_url(traced.queue_url());
    purge.send().await.unwrap();
    let calls = traced.sqs.calls();
    assert_eq!(calls[0].action, "AmazonSQS.PurgeQueue");
    assert_eq!(
        calls[0].body,
        serde_json::json!({"QueueUrl": traced.queue_url()})
    );
    assert!(traced.spans.all().is_empty());
}
