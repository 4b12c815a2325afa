//! Metrics of every kind.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
    SummaryDataPoint, exemplar, number_data_point,
};

use super::*;

fn exemplar_value() -> impl Strategy<Value = exemplar::Value> {
    prop_oneof![
        any::<i64>().prop_map(exemplar::Value::AsInt),
        finite().prop_map(exemplar::Value::AsDouble),
    ]
}

fn point_value() -> impl Strategy<Value = number_data_point::Value> {
    prop_oneof![
        any::<i64>().prop_map(number_data_point::Value::AsInt),
        finite().prop_map(number_data_point::Value::AsDouble),
    ]
}

prop_compose! {
    fn exemplar()(
        filtered_attributes in key_values(),
        time_unix_nano in any::<u64>(),
        span_id in vec(any::<u8>(), 8),
        trace_id in vec(any::<u8>(), 16),
        value in option::of(exemplar_value()),
    ) -> Exemplar {
        Exemplar { filtered_attributes, time_unix_nano, span_id, trace_id, value }
    }
}

prop_compose! {
    fn number_point()(
        attributes in key_values(),
        times in any::<[u64; 2]>(),
        exemplars in vec(exemplar(), 0..3),
        flags in any::<u32>(),
        value in option::of(point_value()),
    ) -> NumberDataPoint {
        NumberDataPoint {
            attributes,
            start_time_unix_nano: times[0],
            time_unix_nano: times[1],
            exemplars,
            flags,
            value,
        }
    }
}

prop_compose! {
    fn histogram_point()(
        attributes in key_values(),
        numbers in any::<[u64; 3]>(),
        [sum, min, max] in [option::of(finite()), option::of(finite()), option::of(finite())],
        bucket_counts in vec(any::<u64>(), 0..4),
        explicit_bounds in vec(finite(), 0..4),
        exemplars in vec(exemplar(), 0..2),
        flags in any::<u32>(),
    ) -> HistogramDataPoint {
        HistogramDataPoint {
            attributes,
            start_time_unix_nano: numbers[0],
            time_unix_nano: numbers[1],
            count: numbers[2],
            sum,
            bucket_counts,
            explicit_bounds,
            exemplars,
            flags,
            min,
            max,
        }
    }
}

fn buckets() -> impl Strategy<Value = Buckets> {
    (any::<i32>(), vec(any::<u64>(), 0..4)).prop_map(|(offset, bucket_counts)| Buckets {
        offset,
        bucket_counts,
    })
}

prop_compose! {
    fn exponential_point()(
        attributes in key_values(),
        numbers in any::<[u64; 4]>(),
        [sum, min, max] in [option::of(finite()), option::of(finite()), option::of(finite())],
        scale in any::<i32>(),
        [positive, negative] in [option::of(buckets()), option::of(buckets())],
        flags in any::<u32>(),
        exemplars in vec(exemplar(), 0..2),
        zero_threshold in finite(),
    ) -> ExponentialHistogramDataPoint {
        ExponentialHistogramDataPoint {
            attributes,
            start_time_unix_nano: numbers[0],
            time_unix_nano: numbers[1],
            count: numbers[2],
            sum,
            scale,
            zero_count: numbers[3],
            positive,
            negative,
            flags,
            exemplars,
            min,
            max,
            zero_threshold,
        }
    }
}

prop_compose! {
    fn summary_point()(
        attributes in key_values(),
        numbers in any::<[u64; 3]>(),
        sum in finite(),
        quantile_values in vec((finite(), finite()), 0..3),
        flags in any::<u32>(),
    ) -> SummaryDataPoint {
        let quantile = |(quantile, value)| ValueAtQuantile { quantile, value };
        SummaryDataPoint {
            attributes,
            start_time_unix_nano: numbers[0],
            time_unix_nano: numbers[1],
            count: numbers[2],
            sum,
            quantile_values: quantile_values.into_iter().map(quantile).collect(),
            flags,
        }
    }
}

fn data() -> impl Strategy<Value = Data> {
    let numbers = || vec(number_point(), 0..3);
    prop_oneof![
        numbers().prop_map(|data_points| Data::Gauge(Gauge { data_points })),
        (numbers(), any::<i32>(), any::<bool>()).prop_map(|(data_points, temporality, rises)| {
            Data::Sum(Sum {
                data_points,
                aggregation_temporality: temporality,
                is_monotonic: rises,
            })
        }),
        (vec(histogram_point(), 0..3), any::<i32>()).prop_map(|(data_points, temporality)| {
            Data::Histogram(Histogram {
                data_points,
                aggregation_temporality: temporality,
            })
        }),
        (vec(exponential_point(), 0..3), any::<i32>()).prop_map(|(data_points, temporality)| {
            Data::ExponentialHistogram(ExponentialHistogram {
                data_points,
                aggregation_temporality: temporality,
            })
        }),
        vec(summary_point(), 0..3).prop_map(|data_points| Data::Summary(Summary { data_points })),
    ]
}

prop_compose! {
    fn metric()(
        [name, description, unit] in [".{0,9}", ".{0,9}", ".{0,9}"],
        metadata in key_values(),
        data in option::of(data()),
    ) -> Metric {
        Metric { name, description, unit, metadata, data }
    }
}

proptest! {
    #[test]
    fn every_field_of_a_metric_is_written(
        resource in option::of(resource()),
        scope in option::of(scope()),
        metrics in vec(metric(), 0..3),
        schema_url in ".{0,9}",
    ) {
        let scope_metrics = ScopeMetrics { scope, metrics, schema_url: schema_url.clone() };
        let resource_metrics =
            ResourceMetrics { resource, scope_metrics: vec![scope_metrics], schema_url };
        let request = ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] };
        round_trip(Signal::Metrics, &request)?;
    }
}
