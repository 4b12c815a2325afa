//! The spans of a test, recorded in memory.

use std::sync::Once;
use std::time::Duration;

use baton_telemetry::Propagator;
use opentelemetry::global;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracer, SdkTracerProvider, SpanData};

/// Interval and number of attempts of waiting for a span. Ten seconds are far more than a busy
/// machine needs to notice a closed connection.
const INTERVAL: Duration = Duration::from_millis(10);
const ATTEMPTS: usize = 1000;

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

    /// Waits until a span of this name has ended, and returns it.
    pub(crate) async fn wait_for(&self, name: &str) -> SpanData {
        for _ in 0..ATTEMPTS {
            if self.all().iter().any(|span| span.name == name) {
                return self.find(name);
            }
            tokio::time::sleep(INTERVAL).await;
        }
        panic!("{name} has not ended: {:?}", self.all());
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

/// Returns the `traceparent` of a sampled span.
pub(crate) fn traceparent(span: &SpanData) -> String {
    format!(
        "00-{}-{}-01",
        span.span_context.trace_id(),
        span.span_context.span_id()
    )
}
