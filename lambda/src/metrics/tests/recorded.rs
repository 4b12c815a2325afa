//! Metrics that the SDK has collected, in a form that is easy to compare.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{
    InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Temporality,
};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Sum(u64),
    Histogram(Histogram),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Histogram {
    pub(super) count: u64,
    pub(super) sum: f64,
    pub(super) bounds: Vec<f64>,
    pub(super) counts: Vec<u64>,
}

/// Values and units, by the name of their metric and their attributes.
#[derive(Debug, Default)]
pub(super) struct RecordedMetrics(HashMap<(String, String), (String, Value)>);

impl RecordedMetrics {
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.0.keys().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Returns the name, attributes, unit and value of each series.
    #[cfg(feature = "dead-letter-queue")]
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str, &str, &Value)> {
        let values = self.0.iter();
        values.map(|((name, attributes), (unit, value))| (&**name, &**attributes, &**unit, value))
    }

    /// Returns the attributes of all series of a metric.
    pub(super) fn series(&self, name: &str) -> Vec<&str> {
        let named = self.0.keys().filter(|(known, _)| known == name);
        named.map(|(_, attributes)| &**attributes).collect()
    }

    pub(super) fn value(&self, name: &str, unit: &str, attributes: &str) -> Value {
        let found = self.0.get(&(name.to_owned(), attributes.to_owned()));
        let (found_unit, value) = found.unwrap_or_else(|| panic!("{name} {attributes}: {self:?}"));
        assert_eq!(found_unit, unit, "{name}");
        value.clone()
    }

    pub(super) fn histogram(&self, name: &str, unit: &str, attributes: &str) -> Histogram {
        match self.value(name, unit, attributes) {
            Value::Histogram(histogram) => histogram,
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// Returns a meter provider and its reader.
pub(super) fn meters() -> (SdkMeterProvider, SharedReader) {
    let manual = ManualReader::builder().with_temporality(Temporality::Delta);
    let reader = SharedReader(Arc::new(manual.build()));
    let provider = SdkMeterProvider::builder().with_reader(reader.clone());
    (provider.build(), reader)
}

pub(super) fn collect(reader: &SharedReader) -> RecordedMetrics {
    let mut collected = ResourceMetrics::default();
    reader.collect(&mut collected).unwrap();
    let mut recorded = RecordedMetrics::default();
    let scopes = collected.scope_metrics();
    for metric in scopes.flat_map(|scope| scope.metrics()) {
        let mut put = |attributes: String, value: Value| {
            let key = (metric.name().to_owned(), attributes);
            let former = recorded.0.insert(key, (metric.unit().to_owned(), value));
            assert_eq!(former, None);
        };
        match metric.data() {
            AggregatedMetrics::U64(MetricData::Sum(sum)) => sum.data_points().for_each(|point| {
                put(text(point.attributes()), Value::Sum(point.value()));
            }),
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                histogram.data_points().for_each(|point| {
                    let value = Histogram {
                        count: point.count(),
                        sum: point.sum(),
                        bounds: point.bounds().collect(),
                        counts: point.bucket_counts().collect(),
                    };
                    put(text(point.attributes()), Value::Histogram(value));
                });
            }
            other => panic!("{}: {other:?}", metric.name()),
        }
    }
    recorded
}

fn text<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> String {
    let mut pairs: Vec<String> = attributes
        .map(|attribute| format!("{}={}", attribute.key, attribute.value))
        .collect();
    pairs.sort_unstable();
    pairs.join(",")
}

#[derive(Debug, Clone)]
pub(super) struct SharedReader(Arc<ManualReader>);

impl MetricReader for SharedReader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, into: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(into)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}
