use std::panic::{AssertUnwindSafe, catch_unwind};

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};

use super::*;
use crate::message::OutgoingMessage;

/// The kind of the span that sends a message without a context.
fn kind(propagator: &dyn TextMapPropagator) -> SpanKind {
    let queue = QueueUrl::parse("http://127.0.0.1:9324/000000000000/orders").unwrap();
    let source = ContextSource::detect(&OutgoingMessage::new("x"), propagator);
    let tracer = SdkTracerProvider::builder().build().tracer("test");
    let span = start(&tracer, &queue, &source, &Context::new());
    span.exported_data().unwrap().span_kind
}

#[test]
fn a_send_is_a_producer_only_if_the_message_carries_its_context() {
    assert_eq!(kind(&TraceContextPropagator::new()), SpanKind::Producer);
    assert_eq!(kind(&BaggagePropagator::new()), SpanKind::Client);
}

/// The span of work that drops its guard.
fn span_of(work: fn(SpanGuard)) -> SpanData {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let span = provider.tracer("test").start("work");
    let guard = SpanGuard(Context::new().with_span(span));
    drop(catch_unwind(AssertUnwindSafe(|| work(guard))));
    exporter.get_finished_spans().unwrap().remove(0)
}

fn error_type_of(span: &SpanData) -> Option<String> {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == attribute::ERROR_TYPE);
    found.map(|attribute| attribute.value.to_string())
}

#[test]
fn a_dropped_send_is_cancelled_and_a_panicking_one_is_not() {
    for (work, expected) in [
        (drop as fn(SpanGuard), "cancelled"),
        (|_guard| panic!("on purpose"), "panic"),
    ] {
        let span = span_of(work);
        assert_eq!(error_type_of(&span).as_deref(), Some(expected));
        assert!(matches!(span.status, Status::Error { .. }), "{span:?}");
    }
}

#[test]
fn a_span_that_has_ended_does_not_change() {
    let span = span_of(|guard| guard.0.span().end());
    assert_eq!((error_type_of(&span), span.status), (None, Status::Unset));
}
