//! Names of the received metrics. Values are not stored, because charts are a backend's task.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{self as proto, ResourceMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_semantic_conventions::resource::SERVICE_NAME;
use serde::Serialize;

use super::span::to_json_map;

/// Limit on the number of stored metrics: more than any two services have, and a bound for a
/// service that puts ids into metric names.
const MAX_METRICS: usize = 10_000;

/// A metric of a service that the receiver stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredMetric {
    /// `service.name` of the resource; empty if it has none.
    pub service: String,
    /// Name of the metric.
    pub name: String,
    /// Unit of the metric; empty if it has none.
    pub unit: String,
    /// Type of its data points.
    pub kind: MetricKind,
    /// Number of received data points.
    pub points: u64,
}

/// Type of a metric's data points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names are OpenTelemetry's own")]
pub enum MetricKind {
    Unspecified,
    Gauge,
    Sum,
    Histogram,
    ExponentialHistogram,
    Summary,
}

/// Received metrics by service and name.
#[derive(Debug, Default)]
pub(super) struct MetricCatalog {
    metrics: BTreeMap<(String, String), StoredMetric>,
}

/// Numbers of accepted and rejected data points in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PointCounts {
    pub(super) accepted: u64,
    /// Points of metrics without a name, which no query could select.
    pub(super) rejected: u64,
}

impl MetricCatalog {
    pub(super) fn add(&mut self, request: Vec<ResourceMetrics>) -> PointCounts {
        let mut points = PointCounts::default();
        for resource_metrics in request {
            let service = service_name(resource_metrics.resource.unwrap_or_default());
            let scopes = resource_metrics.scope_metrics.into_iter();
            for metric in scopes.flat_map(|scope| scope.metrics) {
                let (kind, count) = kind_and_points(&metric);
                if metric.name.is_empty() {
                    points.rejected += count;
                } else {
                    points.accepted += count;
                    self.count(&service, metric, kind, count);
                }
            }
        }
        points
    }

    /// Returns all metrics, ordered by service and name.
    pub(super) fn all(&self) -> Vec<StoredMetric> {
        self.metrics.values().cloned().collect()
    }

    fn count(&mut self, service: &str, metric: proto::Metric, kind: MetricKind, points: u64) {
        let has_room = self.metrics.len() < MAX_METRICS;
        match self.metrics.entry((service.to_owned(), metric.name)) {
            Entry::Occupied(known) => known.into_mut().points += points,
            Entry::Vacant(place) if has_room => {
                let (service, name) = place.key().clone();
                place.insert(StoredMetric {
                    service,
                    name,
                    unit: metric.unit,
                    kind,
                    points,
                });
            }
            Entry::Vacant(_) => {}
        }
    }
}

fn service_name(resource: Resource) -> String {
    let attributes = to_json_map(resource.attributes);
    let name = attributes.get(SERVICE_NAME).and_then(|name| name.as_str());
    name.unwrap_or_default().to_owned()
}

/// Returns the type of a metric's data points and their number.
fn kind_and_points(metric: &proto::Metric) -> (MetricKind, u64) {
    let (kind, count) = match &metric.data {
        None => (MetricKind::Unspecified, 0),
        Some(Data::Gauge(gauge)) => (MetricKind::Gauge, gauge.data_points.len()),
        Some(Data::Sum(sum)) => (MetricKind::Sum, sum.data_points.len()),
        Some(Data::Histogram(histogram)) => (MetricKind::Histogram, histogram.data_points.len()),
        Some(Data::ExponentialHistogram(histogram)) => (
            MetricKind::ExponentialHistogram,
            histogram.data_points.len(),
        ),
        Some(Data::Summary(summary)) => (MetricKind::Summary, summary.data_points.len()),
    };
    (kind, count as u64)
}

#[cfg(test)]
mod tests {
    use super::super::tests::support::{metric_request, sum};
    use super::*;

    #[test]
    fn points_are_counted_per_service_and_metric() {
        let mut metrics = MetricCatalog::default();
        let accepted = [
            metrics.add(metric_request("b", vec![sum("calls", 2)])),
            metrics.add(metric_request("a", vec![sum("calls", 1), sum("bytes", 1)])),
            metrics.add(metric_request("b", vec![sum("calls", 3)])),
        ]
        .map(|points| points.accepted);
        assert_eq!(accepted, [2, 2, 3]);
        let known = metrics.all();
        let known = known
            .iter()
            .map(|metric| (&*metric.service, &*metric.name, metric.points))
            .collect::<Vec<_>>();
        let expected = [("a", "bytes", 1), ("a", "calls", 1), ("b", "calls", 5)];
        assert_eq!(known, expected);
    }

    #[test]
    fn the_points_of_a_metric_without_a_name_are_rejected() {
        let mut metrics = MetricCatalog::default();
        let points = metrics.add(metric_request("a", vec![sum("", 2), sum("calls", 1)]));
        assert_eq!((points.accepted, points.rejected), (1, 2));
        assert_eq!(metrics.all().len(), 1);
    }

    #[test]
    fn the_number_of_metrics_is_limited() {
        let mut metrics = MetricCatalog::default();
        for number in 0..=MAX_METRICS {
            metrics.add(metric_request("a", vec![sum(&format!("m{number}"), 1)]));
        }
        assert_eq!(metrics.all().len(), MAX_METRICS);
    }
}
