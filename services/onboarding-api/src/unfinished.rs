//! What becomes of a span whose work is dropped before it is done.

use opentelemetry::trace::{Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::attribute;

/// `error.type` of work that nobody waits for any more, and of work that panicked.
const TYPE_CANCELLED: &str = "cancelled";
const TYPE_PANIC: &str = "panic";

/// Ends the context's span as failed when it is dropped, unless the span has ended by then.
///
/// A dropped future runs no code after its `await`, and a span that is merely dropped ends as if
/// all had gone well.
#[derive(Debug)]
pub(crate) struct Unfinished(pub(crate) Context);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let span = self.0.span();
        if !span.is_recording() {
            return;
        }
        span.set_attribute(KeyValue::new(attribute::ERROR_TYPE, error_type()));
        span.set_status(Status::error(""));
        span.end();
    }
}

/// `error.type` of work whose future is being dropped.
pub(crate) fn error_type() -> &'static str {
    match std::thread::panicking() {
        true => TYPE_PANIC,
        false => TYPE_CANCELLED,
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};

    use super::*;

    fn span_of(work: fn(Unfinished)) -> SpanData {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        let span = provider.tracer("test").start("work");
        let unfinished = Unfinished(Context::new().with_span(span));
        drop(catch_unwind(AssertUnwindSafe(|| work(unfinished))));
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
    fn dropped_work_is_cancelled_and_panicking_work_is_not_called_so() {
        for (work, expected) in [
            (drop as fn(Unfinished), "cancelled"),
            (|_unfinished| panic!("as the test wants it"), "panic"),
        ] {
            let span = span_of(work);
            assert_eq!(error_type_of(&span).as_deref(), Some(expected));
            assert_eq!(span.status, Status::error(""));
        }
    }

    #[test]
    fn a_span_that_has_ended_stays_as_it_is() {
        let span = span_of(|unfinished| unfinished.0.span().end());
        assert_eq!((error_type_of(&span), span.status), (None, Status::Unset));
    }
}
