//! Metrics as they are on the wire, decoded with `opentelemetry-proto` and nothing of Baton's.

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

/// A metric with all its points.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub struct Metric {
    pub name: String,
    pub description: String,
    pub unit: String,
    /// `None` of a gauge.
    pub temporality: Option<AggregationTemporality>,
    /// Of sums.
    pub is_monotonic: bool,
    pub points: Vec<Point>,
    pub resource: Arc<Resource>,
    pub scope: Arc<Scope>,
    /// When the request that it came in had been read.
    pub arrived_at: Instant,
}

/// One series of a metric.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of OTLP, under its names")]
pub struct Point {
    pub attributes: BTreeMap<String, AttributeValue>,
    pub start_unix_nano: u64,
    pub time_unix_nano: u64,
    pub value: PointValue,
}

/// What was measured.
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

/// All metrics of one request.
pub(super) fn decode(body: &Bytes, arrived_at: Instant) -> Result<Vec<Metric>, InvalidExport> {
    let request = ExportMetricsServiceRequest::decode(body.clone())?;
    let mut metrics = Vec::new();
    for of_resource in request.resource_metrics {
        let resource = resource(of_resource.resource, of_resource.schema_url)?;
        for of_scope in of_resource.scope_metrics {
            let scope = scope(of_scope.scope, of_scope.schema_url)?;
            for metric in of_scope.metrics {
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
