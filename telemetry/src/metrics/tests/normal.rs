//! Requests in a form that does not depend on what means nothing: the order of scopes, metrics,
//! data points and attributes, where they were cut, and the moment.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    HistogramDataPoint, Metric, NumberDataPoint, ScopeMetrics,
};
use prost::Message as _;

/// Each data point with everything around it, encoded (for NaN is not equal to itself, but its
/// bytes are), and how many there are.
pub(super) fn normalized(requests: Vec<ExportMetricsServiceRequest>) -> (Vec<Vec<u8>>, u64) {
    let mut points = Vec::new();
    for resource in requests
        .into_iter()
        .flat_map(|request| request.resource_metrics)
    {
        for scope in &resource.scope_metrics {
            let alone = |metric| {
                let scope = ScopeMetrics {
                    metrics: vec![metric],
                    ..scope.clone()
                };
                let mut resource = resource.clone();
                resource.scope_metrics = vec![scope];
                resource.encode_to_vec()
            };
            let metrics = scope.metrics.iter().flat_map(single_points);
            points.extend(metrics.map(alone));
        }
    }
    points.sort_unstable();
    let count = points.len() as u64;
    (points, count)
}

/// The metric once for each of its data points.
fn single_points(metric: &Metric) -> Vec<Metric> {
    let with = |data| Metric {
        data: Some(data),
        ..metric.clone()
    };
    match metric.data.clone().unwrap() {
        Data::Gauge(mut gauge) => std::mem::take(&mut gauge.data_points)
            .into_iter()
            .map(|point| {
                gauge.data_points = vec![number(point)];
                with(Data::Gauge(gauge.clone()))
            })
            .collect(),
        Data::Sum(mut sum) => std::mem::take(&mut sum.data_points)
            .into_iter()
            .map(|point| {
                sum.data_points = vec![number(point)];
                with(Data::Sum(sum.clone()))
            })
            .collect(),
        Data::Histogram(mut histogram) => std::mem::take(&mut histogram.data_points)
            .into_iter()
            .map(|point| {
                histogram.data_points = vec![distribution(point)];
                with(Data::Histogram(histogram.clone()))
            })
            .collect(),
        other => panic!("nobody makes {other:?}"),
    }
}

fn number(mut point: NumberDataPoint) -> NumberDataPoint {
    timeless(&mut point.start_time_unix_nano, &mut point.time_unix_nano);
    sort(&mut point.attributes);
    point
}

fn distribution(mut point: HistogramDataPoint) -> HistogramDataPoint {
    timeless(&mut point.start_time_unix_nano, &mut point.time_unix_nano);
    sort(&mut point.attributes);
    point
}

fn timeless(start: &mut u64, end: &mut u64) {
    assert!(0 < *start && *start <= *end, "from {start} to {end}");
    (*start, *end) = (1, 2);
}

fn sort(attributes: &mut Vec<KeyValue>) {
    attributes.sort_by(|one, other| one.key.cmp(&other.key));
    // The SDK exports a series under whatever order and repetition of its attributes it comes upon
    // first.
    attributes.dedup_by(|next, before| next.key == before.key);
}
