//! The spans of a test, recorded in memory.

use std::sync::Once;

use baton_telemetry::Propagator;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Value, global};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracer, SdkTracerProvider, SpanData};

static PROPAGATOR: Once = Once::new();

#[derive(Debug)]
pub(crate) struct SpanRecorder {
    provider: SdkTracerProvider,
    exporter: InMemorySpanExporter,
}

impl SpanRecorder {
    pub(crate) fn new() -> Self {
        PROPAGATOR.call_once(|| global::set_text_map_propagator(Propagator::default()));
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        Self { provider, exporter }
    }

    pub(crate) fn tracer(&self) -> SdkTracer {
        self.provider.tracer("baton.producer")
    }

    pub(crate) fn all(&self) -> Vec<SpanData> {
        self.exporter.get_finished_spans().unwrap()
    }

    /// Returns the only span of this name.
    pub(crate) fn find(&self, name: &str) -> SpanData {
        let mut found = self.all();
        found.retain(|span| span.name == name);
        assert_eq!(found.len(), 1, "{name}: {:?}", self.all());
        found.remove(0)
    }
}

/// Returns an attribute as text. An absent attribute is an empty text.
pub(crate) fn attribute(span: &SpanData, key: &str) -> String {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key);
    found
        .map(|attribute| attribute.value.to_string())
        .unwrap_or_default()
}

/// Returns an attribute that is a list of texts.
pub(crate) fn list(span: &SpanData, key: &str) -> Vec<String> {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key);
    match found.map(|attribute| &attribute.value) {
        Some(Value::Array(opentelemetry::Array::String(values))) => {
            values.iter().map(ToString::to_string).collect()
        }
        other => panic!("{key} is not a list of texts: {other:?}"),
    }
}

/// Returns the `traceparent` of a sampled span.
pub(crate) fn traceparent(span: &SpanData) -> String {
    format!(
        "00-{}-{}-01",
        span.span_context.trace_id(),
        span.span_context.span_id()
    )
}
