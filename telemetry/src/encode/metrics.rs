//! Metrics as OTLP protobuf, written straight from what the SDK has collected.
//!
//! A test holds every field written here against `opentelemetry-proto`'s conversion of the same metrics. Exemplars are not written: the SDK
//! collects none.

use super::protobuf as wire;
use super::{ResourceFrame, attributes, nanos, open_request, open_scope_spans, scope_spans_length};
use bytes::Bytes;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, ExponentialBucket, ExponentialHistogram, ExponentialHistogramDataPoint,
    Gauge, Histogram, HistogramDataPoint, Metric, MetricData, ResourceMetrics, Sum,
};
use std::time::SystemTime;

/// Field numbers of `opentelemetry/proto/metrics/v1`, OTLP 1.9. The messages around them have those of the spans: `ResourceMetrics` and
/// `ScopeMetrics` are numbered as `ResourceSpans` and `ScopeSpans` are.
mod field {
    pub(super) const SCOPE_METRICS_METRICS: u32 = 2;
    pub(super) const METRIC_NAME: u32 = 1;
    pub(super) const METRIC_DESCRIPTION: u32 = 2;
    pub(super) const METRIC_UNIT: u32 = 3;
    pub(super) const METRIC_GAUGE: u32 = 5;
    pub(super) const METRIC_SUM: u32 = 7;
    pub(super) const METRIC_HISTOGRAM: u32 = 9;
    pub(super) const METRIC_EXPONENTIAL_HISTOGRAM: u32 = 10;
    /// In a gauge, a sum and both kinds of histograms.
    pub(super) const DATA_POINTS: u32 = 1;
    /// In all of them but the gauge.
    pub(super) const TEMPORALITY: u32 = 2;
    pub(super) const SUM_IS_MONOTONIC: u32 = 3;
    /// In all data points, as is the next one.
    pub(super) const POINT_START: u32 = 2;
    pub(super) const POINT_TIME: u32 = 3;
    pub(super) const NUMBER_DOUBLE: u32 = 4;
    pub(super) const NUMBER_INT: u32 = 6;
    pub(super) const NUMBER_ATTRIBUTES: u32 = 7;
    /// In both kinds of histograms, as is the next one.
    pub(super) const HISTOGRAM_COUNT: u32 = 4;
    pub(super) const HISTOGRAM_SUM: u32 = 5;
    pub(super) const HISTOGRAM_BUCKET_COUNTS: u32 = 6;
    pub(super) const HISTOGRAM_BOUNDS: u32 = 7;
    pub(super) const HISTOGRAM_ATTRIBUTES: u32 = 9;
    pub(super) const HISTOGRAM_MIN: u32 = 11;
    pub(super) const HISTOGRAM_MAX: u32 = 12;
    pub(super) const EXPONENTIAL_ATTRIBUTES: u32 = 1;
    pub(super) const EXPONENTIAL_SCALE: u32 = 6;
    pub(super) const EXPONENTIAL_ZERO_COUNT: u32 = 7;
    pub(super) const EXPONENTIAL_POSITIVE: u32 = 8;
    pub(super) const EXPONENTIAL_NEGATIVE: u32 = 9;
    pub(super) const EXPONENTIAL_MIN: u32 = 12;
    pub(super) const EXPONENTIAL_MAX: u32 = 13;
    pub(super) const EXPONENTIAL_ZERO_THRESHOLD: u32 = 14;
    pub(super) const BUCKETS_OFFSET: u32 = 1;
    pub(super) const BUCKETS_COUNTS: u32 = 2;
}

/// `AggregationTemporality`.
const DELTA: u64 = 1;
const CUMULATIVE: u64 = 2;

/// An `ExportMetricsServiceRequest`.
#[derive(Debug, Clone)]
pub(crate) struct MetricsRequest {
    pub(crate) bytes: Bytes,
    /// Data points in it.
    pub(crate) points: u64,
}

/// Everything collected, in requests that are cut as soon as they are `limit` bytes long: longer by one data point at most.
pub(crate) fn requests(
    resource: &ResourceFrame,
    collected: &ResourceMetrics,
    limit: usize,
) -> Vec<MetricsRequest> {
    let mut writer = Writer::new(resource, limit);
    for scope in collected.scope_metrics() {
        writer.open_scope(scope.scope());
        for metric in scope.metrics() {
            match metric.data() {
                AggregatedMetrics::F64(data) => writer.metric(metric, data),
                AggregatedMetrics::U64(data) => writer.metric(metric, data),
                AggregatedMetrics::I64(data) => writer.metric(metric, data),
            }
        }
        writer.close_scope();
    }
    writer.close_request();
    writer.requests
}

/// The messages around the data points, whose lengths must be known before they are written: from the innermost to the outermost.
struct Writer<'a> {
    resource: &'a ResourceFrame,
    limit: usize,
    /// Data points of the metric that is being written.
    points: Vec<u8>,
    /// The scope that is being written, and its metrics that are complete.
    scope: Vec<u8>,
    /// How long it is without metrics.
    scope_head: usize,
    /// The scopes of this request that are complete.
    scopes: Vec<u8>,
    /// Data points in this request.
    count: u64,
    requests: Vec<MetricsRequest>,
}

/// What a metric has beside its data points.
#[derive(Clone, Copy)]
struct Kind<'a> {
    metric: &'a Metric,
    field: u32,
    temporality: Option<Temporality>,
    is_monotonic: bool,
}

impl<'a> Writer<'a> {
    fn new(resource: &'a ResourceFrame, limit: usize) -> Self {
        Self {
            resource,
            limit,
            points: Vec::with_capacity(ROOM_FOR_POINTS),
            scope: Vec::with_capacity(ROOM_FOR_SCOPE),
            scope_head: 0,
            scopes: Vec::new(),
            count: 0,
            requests: Vec::new(),
        }
    }

    fn open_scope(&mut self, scope: &InstrumentationScope) {
        self.scope.clear();
        super::scope(&mut self.scope, scope);
        self.scope_head = self.scope.len();
    }

    fn close_scope(&mut self) {
        if self.scope.len() > self.scope_head {
            self.scopes.reserve(scope_spans_length(self.scope.len()));
            open_scope_spans(&mut self.scopes, self.scope.len());
            self.scopes.extend_from_slice(&self.scope);
        }
        self.scope.truncate(self.scope_head);
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

    fn metric<T: Number>(&mut self, metric: &Metric, data: &MetricData<T>) {
        let kind = |field, temporality, is_monotonic| Kind {
            metric,
            field,
            temporality,
            is_monotonic,
        };
        match data {
            MetricData::Gauge(gauge) => {
                self.gauge(kind(field::METRIC_GAUGE, None, false), gauge);
            }
            MetricData::Sum(sum) => {
                let temporality = Some(sum.temporality());
                let kind = kind(field::METRIC_SUM, temporality, sum.is_monotonic());
                self.sum(kind, sum);
            }
            MetricData::Histogram(histogram) => {
                let temporality = Some(histogram.temporality());
                let kind = kind(field::METRIC_HISTOGRAM, temporality, false);
                self.histogram(kind, histogram);
            }
            MetricData::ExponentialHistogram(histogram) => {
                let temporality = Some(histogram.temporality());
                let kind = kind(field::METRIC_EXPONENTIAL_HISTOGRAM, temporality, false);
                self.exponential_histogram(kind, histogram);
            }
        }
    }

    fn gauge<T: Number>(&mut self, kind: Kind<'_>, gauge: &Gauge<T>) {
        let start = gauge.start_time().map_or(0, nanos);
        let times = (start, nanos(gauge.time()));
        for point in gauge.data_points() {
            self.point(kind, |out| {
                number(out, times, point.value(), point.attributes());
            });
        }
        self.close_metric(kind);
    }

    fn sum<T: Number>(&mut self, kind: Kind<'_>, sum: &Sum<T>) {
        let times = times(sum.start_time(), sum.time());
        for point in sum.data_points() {
            self.point(kind, |out| {
                number(out, times, point.value(), point.attributes());
            });
        }
        self.close_metric(kind);
    }

    fn histogram<T: Number>(&mut self, kind: Kind<'_>, histogram: &Histogram<T>) {
        let times = times(histogram.start_time(), histogram.time());
        for point in histogram.data_points() {
            self.point(kind, |out| histogram_point(out, times, point));
        }
        self.close_metric(kind);
    }

    fn exponential_histogram<T: Number>(
        &mut self,
        kind: Kind<'_>,
        histogram: &ExponentialHistogram<T>,
    ) {
        let times = times(histogram.start_time(), histogram.time());
        for point in histogram.data_points() {
            self.point(kind, |out| exponential_point(out, times, point));
        }
        self.close_metric(kind);
    }

    fn point(&mut self, kind: Kind<'_>, write: impl FnOnce(&mut Vec<u8>)) {
        wire::nested(&mut self.points, field::DATA_POINTS, write);
        self.count += 1;
        if self.scopes.len() + self.scope.len() + self.points.len() >= self.limit {
            self.close_metric(kind);
            self.close_scope();
            self.close_request();
        }
    }

    fn close_metric(&mut self, kind: Kind<'_>) {
        if self.points.is_empty() {
            return;
        }
        let points = &self.points;
        wire::nested(&mut self.scope, field::SCOPE_METRICS_METRICS, |out| {
            wire::string(out, field::METRIC_NAME, kind.metric.name());
            wire::string(out, field::METRIC_DESCRIPTION, kind.metric.description());
            wire::string(out, field::METRIC_UNIT, kind.metric.unit());
            wire::nested(out, kind.field, |out| {
                out.extend_from_slice(points);
                let temporality = kind.temporality.map_or(0, temporality);
                wire::unsigned(out, field::TEMPORALITY, temporality);
                let is_monotonic = u64::from(kind.is_monotonic);
                wire::unsigned(out, field::SUM_IS_MONOTONIC, is_monotonic);
            });
        });
        self.points.clear();
    }
}

/// A histogram's data point has about 300 bytes, and most metrics have one or two of them.
const ROOM_FOR_POINTS: usize = 1024;
/// What an invocation records, usually.
const ROOM_FOR_SCOPE: usize = 4096;

/// What instruments measure.
trait Number: Copy {
    /// Writes the value of a `NumberDataPoint`.
    fn write(self, out: &mut Vec<u8>);

    /// In histograms all numbers are floating-point ones.
    fn as_double(self) -> f64;
}

impl Number for f64 {
    fn write(self, out: &mut Vec<u8>) {
        wire::fixed64_always(out, field::NUMBER_DOUBLE, self.to_bits());
    }

    fn as_double(self) -> f64 {
        self
    }
}

impl Number for i64 {
    fn write(self, out: &mut Vec<u8>) {
        wire::fixed64_always(out, field::NUMBER_INT, self.cast_unsigned());
    }

    fn as_double(self) -> f64 {
        self as f64
    }
}

impl Number for u64 {
    fn write(self, out: &mut Vec<u8>) {
        // OTLP has signed numbers only. What does not fit is written as the most there is.
        i64::try_from(self).unwrap_or(i64::MAX).write(out);
    }

    fn as_double(self) -> f64 {
        self as f64
    }
}

/// Start and end of what a data point counts, in nanoseconds since 1970.
type Times = (u64, u64);

fn times(start: SystemTime, end: SystemTime) -> Times {
    (nanos(start), nanos(end))
}

fn put_times(out: &mut Vec<u8>, (start, end): Times) {
    wire::fixed64(out, field::POINT_START, start);
    wire::fixed64(out, field::POINT_TIME, end);
}

fn number<'a, T: Number>(
    out: &mut Vec<u8>,
    times: Times,
    value: T,
    of: impl Iterator<Item = &'a KeyValue>,
) {
    put_times(out, times);
    value.write(out);
    attributes(out, field::NUMBER_ATTRIBUTES, of);
}

fn histogram_point<T: Number>(out: &mut Vec<u8>, times: Times, point: &HistogramDataPoint<T>) {
    put_times(out, times);
    wire::fixed64(out, field::HISTOGRAM_COUNT, point.count());
    double(out, field::HISTOGRAM_SUM, point.sum());
    let counts = point.bucket_counts();
    packed_fixed64(out, field::HISTOGRAM_BUCKET_COUNTS, counts);
    let bounds = point.bounds().map(f64::to_bits);
    packed_fixed64(out, field::HISTOGRAM_BOUNDS, bounds);
    attributes(out, field::HISTOGRAM_ATTRIBUTES, point.attributes());
    if let Some(min) = point.min() {
        double(out, field::HISTOGRAM_MIN, min);
    }
    if let Some(max) = point.max() {
        double(out, field::HISTOGRAM_MAX, max);
    }
}

fn exponential_point<T: Number>(
    out: &mut Vec<u8>,
    times: Times,
    point: &ExponentialHistogramDataPoint<T>,
) {
    attributes(out, field::EXPONENTIAL_ATTRIBUTES, point.attributes());
    put_times(out, times);
    wire::fixed64(out, field::HISTOGRAM_COUNT, point.count() as u64);
    double(out, field::HISTOGRAM_SUM, point.sum());
    let scale = i32::from(point.scale());
    wire::unsigned(out, field::EXPONENTIAL_SCALE, zigzag(scale));
    wire::fixed64(out, field::EXPONENTIAL_ZERO_COUNT, point.zero_count());
    buckets(out, field::EXPONENTIAL_POSITIVE, point.positive_bucket());
    buckets(out, field::EXPONENTIAL_NEGATIVE, point.negative_bucket());
    if let Some(min) = point.min() {
        double(out, field::EXPONENTIAL_MIN, min);
    }
    if let Some(max) = point.max() {
        double(out, field::EXPONENTIAL_MAX, max);
    }
    let threshold = point.zero_threshold().to_bits();
    wire::fixed64(out, field::EXPONENTIAL_ZERO_THRESHOLD, threshold);
}

fn buckets(out: &mut Vec<u8>, field: u32, buckets: &ExponentialBucket) {
    wire::nested(out, field, |out| {
        wire::unsigned(out, field::BUCKETS_OFFSET, zigzag(buckets.offset()));
        if buckets.counts().next().is_some() {
            wire::nested(out, field::BUCKETS_COUNTS, |out| {
                buckets.counts().for_each(|count| wire::varint(out, count));
            });
        }
    });
}

/// A number that is written also if it is zero: it says that it is known.
fn double(out: &mut Vec<u8>, field: u32, value: impl Number) {
    wire::fixed64_always(out, field, value.as_double().to_bits());
}

fn packed_fixed64(out: &mut Vec<u8>, field: u32, values: impl Iterator<Item = u64>) {
    let mut values = values.peekable();
    if values.peek().is_some() {
        wire::nested(out, field, |out| {
            values.for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
        });
    }
}

/// Protobuf's `sint32`, whose small numbers are short also when they are negative.
fn zigzag(value: i32) -> u64 {
    u64::from((value << 1 ^ value >> 31).cast_unsigned())
}

fn temporality(temporality: Temporality) -> u64 {
    match temporality {
        Temporality::Delta => DELTA,
        // The SDK collects sums that go up and down as cumulative ones where little memory is asked for; the reader decides, not this.
        _ => CUMULATIVE,
    }
}

#[cfg(test)]
mod tests;
