//! Metrics on the wire, decoded with `opentelemetry-proto` and none of Baton's code.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1 as otlp;
pub use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point as number;
use prost::Message as _;

use super::common::{
    AttributeValue, InvalidExport, Resource, Scope, attributes, each, resource, scope,
};

/// A metric with its data points.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub struct Metric {
    pub name: String,
    pub description: String,
    pub unit: String,
    /// `None` for a gauge.
    pub temporality: Option<AggregationTemporality>,
    /// True only for sums.
    pub is_monotonic: bool,
    pub points: Vec<Point>,
    pub resource: Arc<Resource>,
    pub scope: Arc<Scope>,
    /// Time at which the request with the metric was read.
    pub arrived_at: Instant,
}

/// A data point: one time series of a metric.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub struct Point {
    pub attributes: BTreeMap<String, AttributeValue>,
    pub start_unix_nano: u64,
    pub time_unix_nano: u64,
    pub value: PointValue,
}

/// The value of a data point.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub enum PointValue {
    Int(i64),
    Double(f64),
    Histogram {
        count: u64,
        sum: Option<f64>,
        bounds: Vec<f64>,
        buckets: Vec<u64>,
    },
}

/// Decodes the metrics of one request.
pub(super) fn decode(body: &Bytes, arrived_at: Instant) -> Result<Vec<Metric>, InvalidExport> {
    let request = ExportMetricsServiceRequest::decode(body.clone())?;
    let mut metrics = Vec::new();
    for resource_metrics in request.resource_metrics {
        let resource = resource(resource_metrics.resource, resource_metrics.schema_url)?;
        for scope_metrics in resource_metrics.scope_metrics {
            let scope = scope(scope_metrics.scope, scope_metrics.schema_url)?;
            for metric in scope_metrics.metrics {
                metrics.push(self::metric(metric, &resource, &scope, arrived_at)?);
            }
        }
    }
    Ok(metrics)
}

fn metric(
    metric: otlp::Metric,
    resource: &Arc<Resource>,
    scope: &Arc<Scope>,
    arrived_at: Instant,
) -> Result<Metric, InvalidExport> {
    let data = metric
        .data
        .ok_or(InvalidExport::Missing("data of a metric"))?;
    let (temporality, is_monotonic, points) = match data {
        Data::Gauge(gauge) => (None, false, each(gauge.data_points, point)?),
        Data::Sum(sum) => {
            let temporality = temporality(sum.aggregation_temporality)?;
            let points = each(sum.data_points, point)?;
            (Some(temporality), sum.is_monotonic, points)
        }
        Data::Histogram(histogram) => {
            let temporality = temporality(histogram.aggregation_temporality)?;
            let points = each(histogram.data_points, self::histogram)?;
            (Some(temporality), false, points)
        }
        _ => return Err(InvalidExport::UnexpectedType(metric.name)),
    };
    Ok(Metric {
        name: metric.name,
        description: metric.description,
        unit: metric.unit,
        temporality,
        is_monotonic,
        points,
        resource: Arc::clone(resource),
        scope: Arc::clone(scope),
        arrived_at,
    })
}

fn temporality(number: i32) -> Result<AggregationTemporality, InvalidExport> {
    let temporality = AggregationTemporality::try_from(number);
    temporality.map_err(|_| InvalidExport::UnknownNumber(number, "AggregationTemporality"))
}

fn point(point: otlp::NumberDataPoint) -> Result<Point, InvalidExport> {
    let value = point
        .value
        .ok_or(InvalidExport::Missing("value of a point"));
    Ok(Point {
        attributes: attributes(point.attributes)?,
        start_unix_nano: point.start_time_unix_nano,
        time_unix_nano: point.time_unix_nano,
        value: match value? {
            number::Value::AsInt(value) => PointValue::Int(value),
            number::Value::AsDouble(value) => PointValue::Double(value),
        },
    })
}

fn histogram(point: otlp::HistogramDataPoint) -> Result<Point, InvalidExport> {
    Ok(Point {
        attributes: attributes(point.attributes)?,
        start_unix_nano: point.start_time_unix_nano,
        time_unix_nano: point.time_unix_nano,
        value: PointValue::Histogram {
            count: point.count,
            sum: point.sum,
            bounds: point.explicit_bounds,
            buckets: point.bucket_counts,
        },
    })
}
