//! Encoding of metrics as OTLP protobuf, directly from the aggregated values.
//!
//! A test compares every field with `opentelemetry-proto`'s conversion of what the OpenTelemetry
//! SDK makes of the same measurements. Exponential histograms and exemplars are missing, because
//! nothing here produces them.

use bytes::Bytes;
use opentelemetry::{InstrumentationScope, KeyValue};

use super::{ResourceFrame, open_request, open_scope_spans, scope_spans_length};
use crate::otlp::protobuf as wire;

/// Field numbers of `opentelemetry/proto/metrics/v1`, OTLP 1.9. The fields of `ResourceMetrics` and
/// `ScopeMetrics` have the numbers of their counterparts for spans.
mod field {
    pub(super) const SCOPE_METRICS_METRICS: u32 = 2;
    pub(super) const METRIC_NAME: u32 = 1;
    pub(super) const METRIC_DESCRIPTION: u32 = 2;
    pub(super) const METRIC_UNIT: u32 = 3;
    pub(super) const METRIC_GAUGE: u32 = 5;
    pub(super) const METRIC_SUM: u32 = 7;
    pub(super) const METRIC_HISTOGRAM: u32 = 9;
    /// In a gauge, a sum and a histogram.
    pub(super) const DATA_POINTS: u32 = 1;
    /// In a sum and a histogram.
    pub(super) const TEMPORALITY: u32 = 2;
    pub(super) const SUM_IS_MONOTONIC: u32 = 3;
    /// In all data points, like the next one.
    pub(super) const POINT_START: u32 = 2;
    pub(super) const POINT_TIME: u32 = 3;
    pub(super) const NUMBER_DOUBLE: u32 = 4;
    pub(super) const NUMBER_INT: u32 = 6;
    pub(super) const NUMBER_ATTRIBUTES: u32 = 7;
    pub(super) const HISTOGRAM_COUNT: u32 = 4;
    pub(super) const HISTOGRAM_SUM: u32 = 5;
    pub(super) const HISTOGRAM_BUCKET_COUNTS: u32 = 6;
    pub(super) const HISTOGRAM_BOUNDS: u32 = 7;
    pub(super) const HISTOGRAM_ATTRIBUTES: u32 = 9;
    pub(super) const HISTOGRAM_MIN: u32 = 11;
    pub(super) const HISTOGRAM_MAX: u32 = 12;
}

/// An `ExportMetricsServiceRequest`.
#[derive(Debug, Clone)]
pub(crate) struct MetricsRequest {
    pub(crate) bytes: Bytes,
    /// Number of data points.
    pub(crate) points: u64,
}

/// The description of a metric.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MetricDescriptor<'a> {
    pub(crate) name: &'a str,
    pub(crate) description: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) kind: MetricKind,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum MetricKind {
    Gauge,
    Sum {
        temporality: AggregationTemporality,
        is_monotonic: bool,
    },
    Histogram {
        temporality: AggregationTemporality,
    },
}

/// Start of the interval of a data point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AggregationTemporality {
    /// The last collection.
    Delta = 1,
    /// The start of the process.
    Cumulative = 2,
}

/// A measured number. OTLP has no unsigned numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum NumberValue {
    Integer(i64),
    Double(f64),
}

impl NumberValue {
    /// Returns the number as a floating-point one, which histograms require.
    pub(crate) fn as_double(self) -> f64 {
        match self {
            Self::Integer(number) => number as f64,
            Self::Double(number) => number,
        }
    }

    /// Returns true if the number is finite. Any other number would invalidate every sum.
    pub(crate) fn is_finite(self) -> bool {
        self.as_double().is_finite()
    }
}

/// The interval of a data point, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeRange {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// A data point of a histogram.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Distribution<'a> {
    pub(crate) count: u64,
    pub(crate) sum: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) bucket_counts: &'a [u64],
    pub(crate) bounds: &'a [f64],
}

/// Writes requests. A request is closed when it reaches the limit, so it exceeds the limit by at
/// most one data point.
///
/// Lengths precede messages, so each enclosing message has a buffer. The buffers are listed from
/// the innermost to the outermost.
#[derive(Debug)]
pub(crate) struct MetricsEncoder<'a> {
    resource: &'a ResourceFrame,
    limit: usize,
    /// Data points of the current metric.
    points: Vec<u8>,
    /// The current scope and its complete metrics.
    scope: Vec<u8>,
    /// Length of the current scope without metrics.
    scope_header_bytes: usize,
    /// Complete scopes of the current request.
    scopes: Vec<u8>,
    /// Number of data points in the current request.
    count: u64,
    requests: Vec<MetricsRequest>,
}

impl<'a> MetricsEncoder<'a> {
    pub(crate) fn new(resource: &'a ResourceFrame, limit: usize) -> Self {
        Self {
            resource,
            limit,
            points: Vec::with_capacity(POINTS_CAPACITY),
            scope: Vec::with_capacity(SCOPE_CAPACITY),
            scope_header_bytes: 0,
            scopes: Vec::new(),
            count: 0,
            requests: Vec::new(),
        }
    }

    pub(crate) fn open_scope(&mut self, scope: &InstrumentationScope) {
        self.scope.clear();
        super::scope(&mut self.scope, scope);
        self.scope_header_bytes = self.scope.len();
    }

    pub(crate) fn close_scope(&mut self) {
        if self.scope.len() > self.scope_header_bytes {
            self.scopes.reserve(scope_spans_length(self.scope.len()));
            open_scope_spans(&mut self.scopes, self.scope.len());
            self.scopes.extend_from_slice(&self.scope);
        }
        self.scope.truncate(self.scope_header_bytes);
    }

    fn close_request(&mut self) {
        if self.count == 0 {
            return;
        }
        let mut bytes = open_request(self.resource, self.scopes.len());
        bytes.extend_from_slice(&self.scopes);
        bytes.extend_from_slice(&self.resource.tail);
        self.scopes.clear();
        self.requests.push(MetricsRequest {
            bytes: bytes.into(),
            points: std::mem::take(&mut self.count),
        });
    }

    /// Adds a data point to a sum or a gauge.
    pub(crate) fn add_number(
        &mut self,
        metric: MetricDescriptor<'_>,
        time_range: TimeRange,
        value: NumberValue,
        attributes: &[KeyValue],
    ) {
        self.add_point(metric, |out| {
            put_time_range(out, time_range);
            match value {
                NumberValue::Integer(value) => {
                    wire::fixed64_always(out, field::NUMBER_INT, value.cast_unsigned());
                }
                NumberValue::Double(value) => double(out, field::NUMBER_DOUBLE, value),
            }
            super::attributes(out, field::NUMBER_ATTRIBUTES, attributes);
        });
    }

    /// Adds a data point to a histogram.
    pub(crate) fn add_histogram(
        &mut self,
        metric: MetricDescriptor<'_>,
        time_range: TimeRange,
        point: Distribution<'_>,
        attributes: &[KeyValue],
    ) {
        self.add_point(metric, |out| {
            put_time_range(out, time_range);
            wire::fixed64(out, field::HISTOGRAM_COUNT, point.count);
            double(out, field::HISTOGRAM_SUM, point.sum);
            let counts = point.bucket_counts.iter().map(|count| count.to_le_bytes());
            packed(out, field::HISTOGRAM_BUCKET_COUNTS, counts);
            let bounds = point.bounds.iter().map(|bound| bound.to_le_bytes());
            packed(out, field::HISTOGRAM_BOUNDS, bounds);
            super::attributes(out, field::HISTOGRAM_ATTRIBUTES, attributes);
            double(out, field::HISTOGRAM_MIN, point.min);
            double(out, field::HISTOGRAM_MAX, point.max);
        });
    }

    /// Closes the last request and returns all.
    pub(crate) fn finish(mut self) -> Vec<MetricsRequest> {
        self.close_request();
        self.requests
    }

    fn add_point(&mut self, metric: MetricDescriptor<'_>, write: impl FnOnce(&mut Vec<u8>)) {
        wire::nested(&mut self.points, field::DATA_POINTS, write);
        self.count += 1;
        if self.scopes.len() + self.scope.len() + self.points.len() >= self.limit {
            self.close_metric(metric);
            self.close_scope();
            self.close_request();
        }
    }

    /// Writes the metric with the data points that have been added.
    pub(crate) fn close_metric(&mut self, metric: MetricDescriptor<'_>) {
        if self.points.is_empty() {
            return;
        }
        let points = &self.points;
        let (field, temporality, is_monotonic) = match metric.kind {
            MetricKind::Gauge => (field::METRIC_GAUGE, 0, false),
            MetricKind::Sum {
                temporality,
                is_monotonic,
            } => (field::METRIC_SUM, temporality as u64, is_monotonic),
            MetricKind::Histogram { temporality } => {
                (field::METRIC_HISTOGRAM, temporality as u64, false)
            }
        };
        wire::nested(&mut self.scope, field::SCOPE_METRICS_METRICS, |out| {
            wire::string(out, field::METRIC_NAME, metric.name);
            wire::string(out, field::METRIC_DESCRIPTION, metric.description);
            wire::string(out, field::METRIC_UNIT, metric.unit);
            wire::nested(out, field, |out| {
                out.extend_from_slice(points);
                wire::unsigned(out, field::TEMPORALITY, temporality);
                wire::unsigned(out, field::SUM_IS_MONOTONIC, u64::from(is_monotonic));
            });
        });
        self.points.clear();
    }
}

/// Initial capacity for the data points of a metric. That of a histogram takes about 300 bytes, and
/// most metrics have one or two.
const POINTS_CAPACITY: usize = 1024;
/// Initial capacity for a scope, the usual size of an invocation's metrics.
const SCOPE_CAPACITY: usize = 4096;

fn put_time_range(out: &mut Vec<u8>, time_range: TimeRange) {
    wire::fixed64(out, field::POINT_START, time_range.start);
    wire::fixed64(out, field::POINT_TIME, time_range.end);
}

/// Writes the value even if it is zero, because an absent value is unknown.
fn double(out: &mut Vec<u8>, field: u32, value: f64) {
    wire::fixed64_always(out, field, value.to_bits());
}

fn packed(out: &mut Vec<u8>, field: u32, values: impl ExactSizeIterator<Item = [u8; 8]>) {
    if values.len() > 0 {
        wire::length_prefix(out, field, values.len() * size_of::<u64>());
        values.for_each(|value| out.extend_from_slice(&value));
    }
}
