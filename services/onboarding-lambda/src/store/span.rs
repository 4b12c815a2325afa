//! The span and the duration of a call to the store, according to OpenTelemetry's database
//! conventions.

use std::sync::OnceLock;
use std::time::Instant;

use opentelemetry::metrics::{Histogram, Meter};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, StringValue, global};
use opentelemetry_semantic_conventions::attribute::{
    DB_COLLECTION_NAME, DB_OPERATION_NAME, DB_SYSTEM_NAME, ERROR_TYPE,
};
use opentelemetry_semantic_conventions::metric::DB_CLIENT_OPERATION_DURATION;

/// Instrumentation scope of the spans and the metric.
const SCOPE: &str = "onboarding.store";

/// `error.type` of a cancelled call.
const TYPE_CANCELLED: &str = "cancelled";

/// Boundaries that the conventions recommend for the duration of an operation, in seconds.
const DURATION_BOUNDS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Instruments of a store. Created at the first call, because the store is opened before the
/// telemetry is set up.
#[derive(Debug, Default)]
pub(super) struct StoreInstruments(OnceLock<Histogram<f64>>);

impl StoreInstruments {
    fn duration(&self) -> &Histogram<f64> {
        self.0
            .get_or_init(|| duration_histogram(&global::meter(SCOPE)))
    }
}

fn duration_histogram(meter: &Meter) -> Histogram<f64> {
    meter
        .f64_histogram(DB_CLIENT_OPERATION_DURATION)
        .with_unit("s")
        .with_description("Duration of a call to the store.")
        .with_boundaries(DURATION_BOUNDS.to_vec())
        .build()
}

/// The span of a call in progress. Ending it also records the duration of the call.
///
/// If it is dropped before [`end`](Self::end) or `fail`, the call was cancelled and the span ends
/// as failed. A span that is merely dropped would look like a success.
#[derive(Debug)]
pub(super) struct StoreSpan<'a> {
    instruments: &'a StoreInstruments,
    context: Context,
    began: Instant,
    /// Attributes of the metric. `None` when the call has ended.
    attributes: Option<Vec<KeyValue>>,
}

impl<'a> StoreSpan<'a> {
    /// Starts the span `{operation} {collection}` as a child of the current one. It has all its
    /// attributes from the start, so that a sampler can use them.
    pub(super) fn start(
        instruments: &'a StoreInstruments,
        system: &'static str,
        operation: &'static str,
        collection: &str,
        mut attributes: Vec<KeyValue>,
    ) -> Self {
        let common = [
            KeyValue::new(DB_SYSTEM_NAME, system),
            KeyValue::new(DB_OPERATION_NAME, operation),
            KeyValue::new(DB_COLLECTION_NAME, collection.to_owned()),
        ];
        attributes.extend_from_slice(&common);
        let tracer = global::tracer(SCOPE);
        let span = tracer
            .span_builder(format!("{operation} {collection}"))
            .with_kind(SpanKind::Client)
            .with_attributes(attributes)
            .start(&tracer);
        Self {
            instruments,
            context: Context::current_with_span(span),
            began: Instant::now(),
            attributes: Some(common.into()),
        }
    }

    /// Returns the context in which the call is made.
    #[cfg(feature = "dynamodb")]
    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// Ends the span of a call that has succeeded.
    pub(super) fn end(mut self) {
        self.record_duration(None);
        self.context.span().end();
    }

    /// Ends the span of a call that has failed.
    #[cfg(feature = "dynamodb")]
    pub(super) fn fail(mut self, error_type: String, description: String) {
        self.end_as_failed(error_type.into(), description);
    }

    fn end_as_failed(&mut self, error_type: StringValue, description: String) {
        let error_type = KeyValue::new(ERROR_TYPE, error_type);
        self.record_duration(Some(error_type.clone()));
        let span = self.context.span();
        span.set_attribute(error_type);
        span.set_status(Status::error(description));
        span.end();
    }

    /// Records the duration. The attributes have few values: `error.type` is a code of the store or
    /// a kind of failure.
    fn record_duration(&mut self, error_type: Option<KeyValue>) {
        let mut attributes = self.attributes.take().unwrap_or_default();
        attributes.extend(error_type);
        let duration = self.began.elapsed().as_secs_f64();
        self.instruments.duration().record(duration, &attributes);
    }
}

impl Drop for StoreSpan<'_> {
    fn drop(&mut self) {
        if self.attributes.is_some() {
            let description = "cancelled before the response".to_owned();
            self.end_as_failed(TYPE_CANCELLED.into(), description);
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::metrics::MeterProvider as _;
    use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
    use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};

    use super::*;

    /// Returns each set of attributes that `call` records durations with, and their number.
    fn recorded(call: impl FnOnce(&StoreInstruments)) -> Vec<(String, u64)> {
        let exporter = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exporter.clone()).build();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        let histogram = duration_histogram(&provider.meter("test"));
        call(&StoreInstruments(histogram.into()));
        provider.force_flush().unwrap();
        let exported = exporter.get_finished_metrics().unwrap();
        let scopes = exported.iter().flat_map(|metrics| metrics.scope_metrics());
        let metrics = scopes.flat_map(|scope| scope.metrics());
        let mut found = Vec::new();
        for metric in metrics {
            assert_eq!(
                (metric.name(), metric.unit()),
                (DB_CLIENT_OPERATION_DURATION, "s")
            );
            let AggregatedMetrics::F64(MetricData::Histogram(histogram)) = metric.data() else {
                panic!("{metric:?}");
            };
            for point in histogram.data_points() {
                assert_eq!(point.bounds().collect::<Vec<_>>(), DURATION_BOUNDS);
                let pairs = point.attributes();
                let mut pairs: Vec<_> = pairs
                    .map(|pair| format!("{}={}", pair.key, pair.value))
                    .collect();
                pairs.sort_unstable();
                found.push((pairs.join(","), point.count()));
            }
        }
        found
    }

    fn start(instruments: &StoreInstruments) -> StoreSpan<'_> {
        let server = vec![KeyValue::new("server.address", "localhost")];
        StoreSpan::start(instruments, "memory", "put", "onboardings", server)
    }

    const CALL: &str = "db.collection.name=onboardings,db.operation.name=put,db.system.name=memory";

    #[test]
    fn the_duration_of_a_call_is_recorded_once() {
        let durations = recorded(|instruments| start(instruments).end());
        assert_eq!(durations, [(CALL.to_owned(), 1)]);
    }

    #[test]
    fn a_cancelled_call_has_its_error_type() {
        let durations = recorded(|instruments| drop(start(instruments)));
        assert_eq!(durations, [(format!("{CALL},error.type=cancelled"), 1)]);
    }

    #[cfg(feature = "dynamodb")]
    #[test]
    fn a_failed_call_has_its_error_type() {
        let fail = |span: StoreSpan<'_>| span.fail("ThrottlingException".into(), String::new());
        let durations = recorded(|instruments| fail(start(instruments)));
        let expected = format!("{CALL},error.type=ThrottlingException");
        assert_eq!(durations, [(expected, 1)]);
    }
}
