use baton_test_support::warnings::Warnings;
use opentelemetry::trace::noop::NoopTextMapPropagator;

use super::*;

fn start_call(interceptor: &TraceInterceptor) {
    let mut input = SendMessageInput::builder().build().unwrap();
    interceptor.with_injector(|injector| injector.start_single(&mut input));
}

// The only test of this process that sends without a propagator: the warning is logged once.
#[test]
fn a_missing_global_propagator_is_logged_once() {
    let warnings = Warnings::record();
    let count = || warnings.containing("no propagator is set").len();
    start_call(&TraceInterceptor::new().with_propagator(NoopTextMapPropagator::new()));
    assert_eq!(count(), 0);
    for _ in 0..2 {
        start_call(&TraceInterceptor::new());
    }
    assert_eq!(count(), 1);
}
