//! The metrics of a test, recorded in memory.

use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, HistogramDataPoint, MetricData, ResourceMetrics,
};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};

#[derive(Debug)]
pub(crate) struct MetricRecorder {
    provider: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
}

/// One series of a histogram.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    /// `key=value`, sorted.
    pub(crate) attributes: Vec<String>,
    pub(crate) count: u64,
    pub(crate) sum: f64,
    pub(crate) bounds: Vec<f64>,
}

impl MetricRecorder {
    pub(crate) fn new() -> Self {
        let exporter = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exporter.clone()).build();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        Self { provider, exporter }
    }

    pub(crate) fn meter(&self) -> Meter {
        self.provider.meter("baton.producer")
    }

    /// Returns all series of a histogram in seconds, sorted by their attributes.
    pub(crate) fn series(&self, name: &str) -> Vec<Series> {
        self.provider.force_flush().unwrap();
        let finished = self.exporter.get_finished_metrics().unwrap();
        let Some(last) = finished.last() else {
            return Vec::new();
        };
        let mut series = series(last, name);
        series.sort_by(|one, other| one.attributes.cmp(&other.attributes));
        series
    }
}

fn series(metrics: &ResourceMetrics, name: &str) -> Vec<Series> {
    let metrics = metrics.scope_metrics().flat_map(|scope| scope.metrics());
    let mut found = Vec::new();
    for metric in metrics.filter(|metric| metric.name() == name) {
        assert_eq!(metric.unit(), "s");
        let AggregatedMetrics::F64(MetricData::Histogram(histogram)) = metric.data() else {
            panic!("{name} is not a histogram: {metric:?}");
        };
        found.extend(histogram.data_points().map(series_of));
    }
    found
}

fn series_of(point: &HistogramDataPoint<f64>) -> Series {
    let mut attributes: Vec<String> = point
        .attributes()
        .map(|attribute| format!("{}={}", attribute.key, attribute.value))
        .collect();
    attributes.sort_unstable();
    Series {
        attributes,
        count: point.count(),
        sum: point.sum(),
        bounds: point.bounds().collect(),
    }
}
