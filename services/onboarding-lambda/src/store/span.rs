//! The span of a call to the store, according to OpenTelemetry's database conventions.

use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_semantic_conventions::attribute::{
    DB_COLLECTION_NAME, DB_OPERATION_NAME, DB_SYSTEM_NAME, ERROR_TYPE,
};

/// Instrumentation scope of the spans.
const SCOPE: &str = "onboarding.store";

/// `error.type` of a cancelled call.
const TYPE_CANCELLED: &str = "cancelled";

/// The span of a call in progress.
///
/// If it is dropped before [`end`](Self::end), the call was cancelled and the span ends as failed.
/// A span that is merely dropped would look like a success.
#[derive(Debug)]
pub(super) struct StoreSpan(Context);

impl StoreSpan {
    /// Starts the span `{operation} {collection}` as a child of the current one. It has all its
    /// attributes from the start, so that a sampler can use them.
    pub(super) fn start(
        system: &'static str,
        operation: &'static str,
        collection: &str,
        mut attributes: Vec<KeyValue>,
    ) -> Self {
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
        Self(Context::current_with_span(span))
    }

    /// Returns the context in which the call is made.
    #[cfg(feature = "dynamodb")]
    pub(super) fn context(&self) -> &Context {
        &self.0
    }

    /// Ends the span of a call that is complete.
    pub(super) fn end(self) {
        self.0.span().end();
    }
}

impl Drop for StoreSpan {
    fn drop(&mut self) {
        let span = self.0.span();
        if span.is_recording() {
            span.set_attribute(KeyValue::new(ERROR_TYPE, TYPE_CANCELLED));
            span.set_status(Status::error("cancelled before the response"));
            span.end();
        }
    }
}
