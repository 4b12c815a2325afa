//! Requests in a canonical form, without differences in the order of scopes, metrics, data points
//! and attributes, in the split into requests, and in the time of the collection.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    HistogramDataPoint, Metric, NumberDataPoint, ScopeMetrics,
};
use prost::Message as _;

/// Returns the data points, each encoded with its metric, scope and resource, and their number.
/// They are compared in encoded form, because NaN is not equal to itself.
pub(super) fn normalize(requests: Vec<ExportMetricsServiceRequest>) -> (Vec<Vec<u8>>, u64) {
    let mut points = Vec::new();
    for resource in requests
        .into_iter()
        .flat_map(|request| request.resource_metrics)
    {
        for scope in &resource.scope_metrics {
            let encode_single = |metric| {
                let scope = ScopeMetrics {
                    metrics: vec![metric],
                    ..scope.clone()
                };
                let mut resource = resource.clone();
                resource.scope_metrics = vec![scope];
                resource.encode_to_vec()
            };
            let metrics = scope.metrics.iter().flat_map(split_by_point);
            points.extend(metrics.map(encode_single));
        }
    }
    points.sort_unstable();
    let count = points.len() as u64;
    (points, count)
}

/// Splits a metric into one metric for each data point.
fn split_by_point(metric: &Metric) -> Vec<Metric> {
    let with_data = |data| Metric {
        data: Some(data),
        ..metric.clone()
    };
    match metric.data.clone().unwrap() {
        Data::Gauge(mut gauge) => std::mem::take(&mut gauge.data_points)
            .into_iter()
            .map(|point| {
                gauge.data_points = vec![normalize_number(point)];
                with_data(Data::Gauge(gauge.clone()))
            })
            .collect(),
        Data::Sum(mut sum) => std::mem::take(&mut sum.data_points)
            .into_iter()
            .map(|point| {
                sum.data_points = vec![normalize_number(point)];
                with_data(Data::Sum(sum.clone()))
            })
            .collect(),
        Data::Histogram(mut histogram) => std::mem::take(&mut histogram.data_points)
            .into_iter()
            .map(|point| {
                histogram.data_points = vec![normalize_histogram(point)];
                with_data(Data::Histogram(histogram.clone()))
            })
            .collect(),
        other => panic!("unexpected data: {other:?}"),
    }
}

fn normalize_number(mut point: NumberDataPoint) -> NumberDataPoint {
    normalize_times(&mut point.start_time_unix_nano, &mut point.time_unix_nano);
    sort_attributes(&mut point.attributes);
    point
}

fn normalize_histogram(mut point: HistogramDataPoint) -> HistogramDataPoint {
    normalize_times(&mut point.start_time_unix_nano, &mut point.time_unix_nano);
    sort_attributes(&mut point.attributes);
    point
}

fn normalize_times(start: &mut u64, end: &mut u64) {
    assert!(0 < *start && *start <= *end, "from {start} to {end}");
    (*start, *end) = (1, 2);
}

fn sort_attributes(attributes: &mut Vec<KeyValue>) {
    attributes.sort_by(|one, other| one.key.cmp(&other.key));
    // The SDK exports a series with the attributes of its first measurement, including their order
    // and duplicates.
    attributes.dedup_by(|next, before| next.key == before.key);
}
