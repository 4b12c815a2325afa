//! The recorded metrics of sends.

use std::collections::BTreeMap;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};

/// Counts, by the attributes of their series.
pub(crate) type Counts = BTreeMap<String, u64>;

const OPERATION: &str = "messaging.operation.name=send";
const SYSTEM: &str = "messaging.system=aws_sqs";

/// A meter provider, and what it exports.
pub(crate) struct MetricRecorder {
    provider: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
}

impl MetricRecorder {
    pub(crate) fn new() -> Self {
        let exporter = InMemoryMetricExporter::default();
        let provider = SdkMeterProvider::builder()
            .with_periodic_exporter(exporter.clone())
            .build();
        Self { provider, exporter }
    }

    pub(crate) fn meter(&self) -> Meter {
        self.provider.meter("test")
    }

    /// Returns the values of the counter and the counts of the histogram.
    pub(crate) fn recorded(&self) -> (Counts, Counts) {
        self.provider.force_flush().unwrap();
        let (mut sent, mut durations) = (Counts::new(), Counts::new());
        let collected = self.exporter.get_finished_metrics().unwrap();
        let scopes = collected.iter().flat_map(|one| one.scope_metrics());
        for metric in scopes.flat_map(|scope| scope.metrics()) {
            match (metric.name(), metric.unit(), metric.data()) {
                (
                    "messaging.client.sent.messages",
                    "{message}",
                    AggregatedMetrics::U64(MetricData::Sum(sum)),
                ) => sum.data_points().for_each(|point| {
                    sent.insert(text(point.attributes()), point.value());
                }),
                (
                    "messaging.client.operation.duration",
                    "s",
                    AggregatedMetrics::F64(MetricData::Histogram(histogram)),
                ) => histogram.data_points().for_each(|point| {
                    let bounds: Vec<f64> = point.bounds().collect();
                    assert_eq!((bounds.len(), bounds[0], bounds[13]), (14, 0.005, 10.0));
                    durations.insert(text(point.attributes()), point.count());
                }),
                other => panic!("{other:?}"),
            }
        }
        // The SDK also exports bound instruments without a measurement.
        sent.retain(|_, count| *count > 0);
        durations.retain(|_, count| *count > 0);
        (sent, durations)
    }
}

fn text<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> String {
    let mut pairs: Vec<String> = attributes
        .map(|attribute| format!("{}={}", attribute.key, attribute.value))
        .collect();
    pairs.sort_unstable();
    pairs.join(",")
}

/// Returns the expected counts of messages, from the first attributes of each series.
pub(crate) fn sent(series: &[(&str, u64)]) -> Counts {
    let series = series.iter();
    let named = series.map(|(first, count)| (format!("{first}{OPERATION},{SYSTEM}"), *count));
    named.collect()
}

/// Returns the expected counts of durations, from the first attributes of each series.
pub(crate) fn durations(series: &[(&str, u64)]) -> Counts {
    let typed = format!("{OPERATION},messaging.operation.type=send,{SYSTEM}");
    let series = series.iter();
    let named = series.map(|(first, count)| (format!("{first}{typed}"), *count));
    named.collect()
}
