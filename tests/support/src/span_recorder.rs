//! The spans of a test, recorded in memory.

use std::sync::Once;
use std::time::Duration;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Array, Value, global};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracer, SdkTracerProvider, SpanData};

/// Interval between checks for a span, and their maximum number. Ten seconds is far more than a
/// busy machine needs to notice a closed connection.
const INTERVAL: Duration = Duration::from_millis(10);
const ATTEMPTS: usize = 1000;

static PROPAGATOR: Once = Once::new();

/// A tracer provider that keeps finished spans.
#[derive(Debug)]
pub struct SpanRecorder {
    provider: SdkTracerProvider,
    exporter: InMemorySpanExporter,
}

impl SpanRecorder {
    /// Creates a recorder. The first one of a process makes `propagator` the global propagator.
    #[must_use]
    pub fn new(propagator: impl TextMapPropagator + Send + Sync + 'static) -> Self {
        PROPAGATOR.call_once(|| global::set_text_map_propagator(propagator));
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        Self { provider, exporter }
    }

    /// Returns a tracer whose spans are recorded.
    #[must_use]
    pub fn tracer(&self) -> SdkTracer {
        self.provider.tracer("baton.producer")
    }

    /// Returns the finished spans in the order in which they ended.
    ///
    /// # Panics
    ///
    /// Panics if another thread panicked while it recorded a span.
    #[must_use]
    pub fn all(&self) -> Vec<SpanData> {
        match self.exporter.get_finished_spans() {
            Ok(spans) => spans,
            Err(error) => panic!("the recorded spans cannot be read: {error}"),
        }
    }

    /// Waits until a span of this name has ended, and returns it.
    ///
    /// # Panics
    ///
    /// Panics if no span of this name ends within ten seconds, or if several have.
    pub async fn wait_for(&self, name: &str) -> SpanData {
        for _ in 0..ATTEMPTS {
            if self.all().iter().any(|span| span.name == name) {
                return self.find(name);
            }
            tokio::time::sleep(INTERVAL).await;
        }
        panic!("{name} has not ended: {:?}", self.all());
    }

    /// Returns the only span of this name.
    ///
    /// # Panics
    ///
    /// Panics if there is not exactly one.
    #[must_use]
    pub fn find(&self, name: &str) -> SpanData {
        let mut found = self.all();
        found.retain(|span| span.name == name);
        assert_eq!(found.len(), 1, "{name}: {:?}", self.all());
        found.remove(0)
    }
}

/// Returns an attribute as a string, which is empty if the attribute is absent.
#[must_use]
pub fn attribute(span: &SpanData, key: &str) -> String {
    let value = find_attribute(span, key);
    value.map(ToString::to_string).unwrap_or_default()
}

/// Returns an attribute that is a list of strings.
///
/// # Panics
///
/// Panics if the attribute is absent or not a list of strings.
#[must_use]
pub fn list(span: &SpanData, key: &str) -> Vec<String> {
    match find_attribute(span, key) {
        Some(Value::Array(Array::String(values))) => {
            values.iter().map(ToString::to_string).collect()
        }
        other => panic!("{key} is not a list of strings: {other:?}"),
    }
}

/// Returns the `traceparent` of a sampled span.
#[must_use]
pub fn traceparent(span: &SpanData) -> String {
    format!(
        "00-{}-{}-01",
        span.span_context.trace_id(),
        span.span_context.span_id()
    )
}

fn find_attribute<'a>(span: &'a SpanData, key: &str) -> Option<&'a Value> {
    let mut attributes = span.attributes.iter();
    let found = attributes.find(|attribute| attribute.key.as_str() == key);
    found.map(|attribute| &attribute.value)
}
