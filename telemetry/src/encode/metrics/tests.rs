//! What arrives at a collector is what `opentelemetry-proto` would have sent for the same metrics.

use super::*;
use crate::encode;
use crate::encode::tests::{attribute, scope_of};
use crate::metrics::reader::Reader;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{Aggregation, Instrument, SdkMeterProvider, Stream};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

/// Beginning of the names of instruments that are aggregated into exponential histograms.
const EXPONENTIAL: &str = "exponential";

/// One value, recorded by the instrument of this number.
#[derive(Debug, Clone)]
struct Measurement {
    instrument: u8,
    scope: u8,
    integer: u32,
    double: f64,
    attributes: Vec<KeyValue>,
}

prop_compose! {
    fn measurement()(
        instrument in 0u8..11,
        scope in 0u8..2,
        integer in any::<u32>(),
        double in any::<f64>(),
        attributes in vec(attribute(), 0..4),
    ) -> Measurement {
        Measurement { instrument, scope, integer, double, attributes }
    }
}

fn record(meter: &Meter, measurement: &Measurement) {
    let (double, attributes) = (measurement.double, &*measurement.attributes);
    let (unsigned, signed) = (u64::from(measurement.integer), measurement.integer as i32);
    let signed = i64::from(signed);
    let bounds = vec![-1.0, 0.0, 1e-9, 5.0, 1e12];
    match measurement.instrument {
        0 => meter
            .u64_counter("sum.u64")
            .with_unit("{thing}")
            .build()
            .add(unsigned, attributes),
        1 => meter.f64_counter("sum.f64").build().add(double, attributes),
        2 => meter
            .i64_up_down_counter("balance.i64")
            .build()
            .add(signed, attributes),
        3 => meter
            .f64_up_down_counter("balance.f64")
            .build()
            .add(double, attributes),
        4 => meter
            .u64_gauge("gauge.u64")
            .build()
            .record(unsigned, attributes),
        5 => meter
            .i64_gauge("gauge.i64")
            .with_description("What it is.")
            .build()
            .record(signed, attributes),
        6 => meter
            .f64_gauge("gauge.f64")
            .build()
            .record(double, attributes),
        7 => meter
            .f64_histogram("histogram.f64")
            .with_boundaries(bounds)
            .build()
            .record(double, attributes),
        8 => meter
            .u64_histogram("histogram.u64")
            .with_boundaries(Vec::new())
            .build()
            .record(unsigned, attributes),
        9 => meter
            .f64_histogram("exponential.f64")
            .build()
            .record(double, attributes),
        _ => meter
            .u64_histogram("exponential.u64")
            .with_unit("By")
            .build()
            .record(unsigned, attributes),
    }
}

fn exponential(instrument: &Instrument) -> Option<Stream> {
    let aggregation = Aggregation::Base2ExponentialHistogram {
        max_size: 160,
        max_scale: 20,
        record_min_max: true,
    };
    let stream = Stream::builder().with_aggregation(aggregation);
    instrument
        .name()
        .starts_with(EXPONENTIAL)
        .then(|| stream.build().unwrap())
}

fn collect(
    measurements: &[Measurement],
    temporality: Temporality,
    resource: &Resource,
) -> ResourceMetrics {
    let reader = Reader::new(temporality);
    let provider = SdkMeterProvider::builder()
        .with_resource(resource.clone())
        .with_reader(reader.clone())
        .with_view(exponential)
        .build();
    for measurement in measurements {
        let tag = KeyValue::new("a", i64::from(measurement.scope));
        let meter = provider.meter_with_scope(scope_of(measurement.scope, vec![tag]));
        record(&meter, measurement);
    }
    let mut collected = ResourceMetrics::default();
    reader.read(&mut collected);
    collected
}

fn temporality() -> impl Strategy<Value = Temporality> {
    prop_oneof![
        Just(Temporality::Delta),
        Just(Temporality::Cumulative),
        Just(Temporality::LowMemory)
    ]
}

fn points(request: &ExportMetricsServiceRequest) -> usize {
    let scopes = request
        .resource_metrics
        .iter()
        .flat_map(|resource| &resource.scope_metrics);
    let metrics = scopes.flat_map(|scope| &scope.metrics);
    metrics
        .map(|metric| match metric.data.as_ref().unwrap() {
            Data::Gauge(gauge) => gauge.data_points.len(),
            Data::Sum(sum) => sum.data_points.len(),
            Data::Histogram(histogram) => histogram.data_points.len(),
            Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
            Data::Summary(_) => panic!("the SDK has none"),
        })
        .sum()
}

/// Puts together again what was cut.
fn joined(requests: &[MetricsRequest]) -> ExportMetricsServiceRequest {
    let mut whole = ExportMetricsServiceRequest::default();
    for request in requests {
        let decoded = ExportMetricsServiceRequest::decode(request.bytes.clone()).unwrap();
        assert_eq!(points(&decoded) as u64, request.points);
        let [resource] = &decoded.resource_metrics[..] else {
            panic!("one resource");
        };
        let Some(into) = whole.resource_metrics.first_mut() else {
            whole = decoded;
            continue;
        };
        assert_eq!(
            (&into.resource, &into.schema_url),
            (&resource.resource, &resource.schema_url)
        );
        for scope in &resource.scope_metrics {
            match into
                .scope_metrics
                .last_mut()
                .filter(|last| last.scope == scope.scope)
            {
                Some(last) => last.metrics.extend(scope.metrics.clone()),
                None => into.scope_metrics.push(scope.clone()),
            }
        }
    }
    for scope in whole
        .resource_metrics
        .iter_mut()
        .flat_map(|resource| &mut resource.scope_metrics)
    {
        scope
            .metrics
            .dedup_by(|next, before| next.name == before.name && append(before, next));
    }
    whole
}

fn append(
    before: &mut opentelemetry_proto::tonic::metrics::v1::Metric,
    next: &mut opentelemetry_proto::tonic::metrics::v1::Metric,
) -> bool {
    match (before.data.as_mut().unwrap(), next.data.as_mut().unwrap()) {
        (Data::Gauge(before), Data::Gauge(next)) => {
            before.data_points.append(&mut next.data_points)
        }
        (Data::Sum(before), Data::Sum(next)) => before.data_points.append(&mut next.data_points),
        (Data::Histogram(before), Data::Histogram(next)) => {
            before.data_points.append(&mut next.data_points);
        }
        (Data::ExponentialHistogram(before), Data::ExponentialHistogram(next)) => {
            before.data_points.append(&mut next.data_points);
        }
        _ => return false,
    }
    true
}

proptest! {
    #[test]
    fn every_field_is_what_opentelemetry_proto_writes(
        measurements in vec(measurement(), 1..30),
        temporality in temporality(),
        attributes in vec(attribute(), 0..4),
        limit in prop_oneof![Just(usize::MAX), 1..4000usize],
    ) {
        let resource = Resource::builder_empty()
            .with_schema_url(attributes, "https://opentelemetry.io/schemas/1.42.0")
            .build();
        let collected = collect(&measurements, temporality, &resource);
        let requests = requests(&encode::resource(&resource), &collected, limit);
        if limit == usize::MAX {
            prop_assert!(requests.len() <= 1);
        }
        let theirs = match collected.scope_metrics().next() {
            Some(_) => ExportMetricsServiceRequest::from(&collected),
            None => ExportMetricsServiceRequest::default(),
        };
        // NaN is not equal to itself, but its bytes are.
        prop_assert_eq!(joined(&requests).encode_to_vec(), theirs.encode_to_vec());
    }
}

#[test]
fn requests_are_cut_within_a_metric_when_they_are_long_enough() {
    let resource = Resource::builder_empty().build();
    let measurements: Vec<Measurement> = (0..1000)
        .map(|number| Measurement {
            instrument: 0,
            scope: 0,
            integer: number,
            double: 0.0,
            attributes: vec![KeyValue::new("key", i64::from(number))],
        })
        .collect();
    let collected = collect(&measurements, Temporality::Delta, &resource);
    let requests = requests(&encode::resource(&resource), &collected, 4000);
    let lengths: Vec<usize> = requests.iter().map(|request| request.bytes.len()).collect();
    assert!(lengths.len() > 5, "{lengths:?}");
    assert!(lengths.iter().all(|length| *length < 4200), "{lengths:?}");
    assert_eq!(
        requests.iter().map(|request| request.points).sum::<u64>(),
        1000
    );
}
