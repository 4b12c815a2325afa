//! The span of one call, by the database conventions.

use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_semantic_conventions::attribute::{
    DB_COLLECTION_NAME, DB_OPERATION_NAME, DB_SYSTEM_NAME, ERROR_TYPE,
};

/// Instrumentation scope of the spans made here.
const SCOPE: &str = "onboarding.store";

/// `error.type` of a call that nobody waited for to the end.
const TYPE_CANCELLED: &str = "cancelled";

/// A call that goes on, with its span. Dropped before its end it was cancelled: a span that merely
/// ends does not tell.
#[derive(Debug)]
pub(super) struct Call(pub(super) Context);

impl Call {
    pub(super) fn end(self) {
        self.0.span().end();
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let span = self.0.span();
        if span.is_recording() {
            span.set_attribute(KeyValue::new(ERROR_TYPE, TYPE_CANCELLED));
            span.set_status(Status::error("nobody waited for the answer any more"));
            span.end();
        }
    }
}

/// Starts the span `operation collection` in the current context, with everything that a sampler
/// may want to know.
pub(super) fn start(
    system: &'static str,
    operation: &'static str,
    collection: &str,
    mut attributes: Vec<KeyValue>,
) -> Call {
    attributes.extend([
        KeyValue::new(DB_SYSTEM_NAME, system),
        KeyValue::new(DB_OPERATION_NAME, operation),
        KeyValue::new(DB_COLLECTION_NAME, collection.to_owned()),
    ]);
    let tracer = global::tracer(SCOPE);
    let span = tracer
        .span_builder(format!("{operation} {collection}"))
        .with_kind(SpanKind::Client)
        .with_attributes(attributes)
        .start(&tracer);
    Call(Context::current_with_span(span))
}
