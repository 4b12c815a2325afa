use std::sync::atomic::{AtomicUsize, Ordering};

use opentelemetry::trace::noop::NoopTextMapPropagator;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::*;

/// Counts the warnings of a thread.
#[derive(Clone, Default)]
struct WarningCounter(Arc<AtomicUsize>);

impl Subscriber for WarningCounter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn start_call(interceptor: &TraceInterceptor) {
    let mut input = SendMessageInput::builder().build().unwrap();
    interceptor.with_injector(|injector| injector.start_single(&mut input));
}

// The only test of this process that sends without a propagator: the warning is logged once.
#[test]
fn a_missing_global_propagator_is_logged_once() {
    let warnings = WarningCounter::default();
    let _subscriber = tracing::subscriber::set_default(warnings.clone());
    start_call(&TraceInterceptor::new().with_propagator(NoopTextMapPropagator::new()));
    assert_eq!(warnings.0.load(Ordering::Relaxed), 0);
    for _ in 0..2 {
        start_call(&TraceInterceptor::new());
    }
    assert_eq!(warnings.0.load(Ordering::Relaxed), 1);
}
