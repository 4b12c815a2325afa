//! Whatever happens in whatever order: nothing is lost unseen, and the bounds hold.

use super::*;
use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use proptest::prelude::*;

const BOUNDS: Bounds = Bounds {
    spans: 20,
    bytes: 4 * 1024,
};
/// The bound in bytes is looked at before a span is added: by one span it may be passed.
const LARGEST_SPAN: usize = 2 * 1024;

#[derive(Debug, Clone)]
enum Step {
    /// A span of one of two scopes ends, with an attribute of so many bytes.
    End { scope: bool, length: usize },
    /// A flush begins, if none is under way.
    Take,
    /// The first chunk of the flush under way is accepted.
    Exported,
    /// The first chunk of the flush under way is refused for good.
    Dropped,
    /// The flush fails, or its future is dropped.
    GiveUp,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<bool>(), 0..LARGEST_SPAN / 2).prop_map(|(scope, length)| Step::End { scope, length }),
        2 => Just(Step::Take),
        1 => Just(Step::Exported),
        1 => Just(Step::Dropped),
        1 => Just(Step::GiveUp),
    ]
}

fn tracers(buffer: &SpanBuffer) -> (SdkTracerProvider, [SdkTracer; 2]) {
    let provider = SdkTracerProvider::builder()
        .with_span_processor(buffer.clone())
        .build();
    let tracers = [provider.tracer("one"), provider.tracer("two")];
    (provider, tracers)
}

fn end_span(tracer: &SdkTracer, length: usize) {
    let mut span = tracer.start("span");
    span.set_attribute(opentelemetry::KeyValue::new("filler", "x".repeat(length)));
    span.end();
}

/// Spans and bytes that are in the buffer or taken.
fn held(buffer: &SpanBuffer, taken: Option<&Taken>) -> (u64, usize) {
    let state = buffer.lock();
    let chunks = state
        .closed
        .iter()
        .chain(taken.iter().flat_map(|taken| &taken.chunks));
    let closed = chunks.map(|chunk| (chunk.spans, chunk.spans_bytes().len()));
    let open = state
        .open
        .iter()
        .map(|chunk| (chunk.spans, chunk.bytes.len() - chunk.scope_bytes));
    closed
        .chain(open)
        .fold((0, 0), |sum, held| (sum.0 + held.0, sum.1 + held.1))
}

proptest! {
    #[test]
    fn every_span_is_accounted_for_and_the_bounds_hold(steps in proptest::collection::vec(step(), 1..200)) {
        let buffer = SpanBuffer::new(BOUNDS);
        let (_provider, tracers) = tracers(&buffer);
        let mut taken: Option<Taken> = None;
        let mut ended = 0;
        for step in steps {
            match (step, taken.as_mut()) {
                (Step::End { scope, length }, _) => {
                    end_span(&tracers[usize::from(scope)], length);
                    ended += 1;
                }
                (Step::Take, None) => taken = Some(buffer.take()),
                (Step::Exported, Some(taken)) if !taken.chunks.is_empty() => taken.exported(1),
                (Step::Dropped, Some(taken)) if !taken.chunks.is_empty() => taken.dropped(1),
                (Step::GiveUp, Some(_)) => taken = None,
                _ => {}
            }
            let counts = buffer.counts();
            prop_assert_eq!(counts.finished, ended);
            prop_assert_eq!(counts.finished, counts.exported + counts.dropped + counts.pending);
            prop_assert!(counts.pending <= BOUNDS.spans as u64);
            let bytes = buffer.lock().bytes;
            prop_assert!(bytes < BOUNDS.bytes + LARGEST_SPAN);
            prop_assert_eq!(held(&buffer, taken.as_ref()), (counts.pending, bytes));
        }
    }
}

#[test]
fn chunks_that_come_back_become_one_for_each_scope() {
    let buffer = SpanBuffer::new(Bounds {
        spans: 1_000,
        bytes: 1 << 20,
    });
    let (_provider, tracers) = tracers(&buffer);
    for _ in 0..50 {
        for tracer in &tracers {
            end_span(tracer, 10);
        }
        drop(buffer.take());
    }
    let taken = buffer.take();
    assert_eq!(
        taken
            .chunks
            .iter()
            .map(|chunk| chunk.spans)
            .collect::<Vec<_>>(),
        [50, 50]
    );
}
