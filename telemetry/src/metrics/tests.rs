//! Exported metrics, compared with those that OpenTelemetry's SDK and `opentelemetry-proto` would
//! send for the same measurements.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use self::normal::normalize;
use self::sdk::Sdk;
use super::*;
use crate::otlp::encode;
use crate::otlp::encode::metrics::MetricsRequest;
use crate::otlp::encode::tests::{attribute, test_scope};

mod concurrent_exports;
mod normal;
mod sdk;

const HOUR: Duration = Duration::from_hours(1);

/// A value, and the number of the instrument that records it.
#[derive(Debug, Clone)]
struct Measurement {
    instrument: u8,
    is_bound: bool,
    scope: u8,
    integer: u32,
    double: f64,
    attributes: Vec<KeyValue>,
}

prop_compose! {
    fn measurement()(
        instrument in 0u8..9,
        is_bound in any::<bool>(),
        scope in 0u8..2,
        integer in any::<u32>(),
        double in prop_oneof![any::<f64>(), -10.0..10.0, Just(f64::NAN), Just(f64::INFINITY)],
        attributes in prop_oneof![
            Just(Vec::new()),
            Just(vec![KeyValue::new("b", 1), KeyValue::new("a", 2), KeyValue::new("b", 3)]),
            vec(attribute(), 0..4),
        ],
    ) -> Measurement {
        // The SDK exports a bound series without measurements if it has attributes.
        let is_bound = is_bound && double.is_finite();
        Measurement { instrument, is_bound, scope, integer, double, attributes }
    }
}

/// Records a value with an instrument that is or is not bound to the attributes.
macro_rules! measure {
    ($measurement:ident, $method:ident, $value:ident, $builder:expr) => {{
        let instrument = $builder.build();
        if $measurement.is_bound {
            instrument.bind(&$measurement.attributes).$method($value);
        } else {
            instrument.$method($value, &$measurement.attributes);
        }
    }};
}

fn record(meter: &Meter, measurement: &Measurement) {
    let (double, unsigned) = (measurement.double, u64::from(measurement.integer));
    let signed = i64::from(measurement.integer.cast_signed());
    let bounds = || vec![-1.0, 0.0, 1e-9, 5.0, 1e12];
    match measurement.instrument {
        0 => measure!(
            measurement,
            add,
            unsigned,
            meter.u64_counter("sum.u64").with_unit("{thing}")
        ),
        1 => measure!(measurement, add, double, meter.f64_counter("sum.f64")),
        2 => measure!(
            measurement,
            add,
            signed,
            meter.i64_up_down_counter("balance.i64")
        ),
        3 => measure!(
            measurement,
            add,
            double,
            meter.f64_up_down_counter("balance.f64")
        ),
        4 => measure!(measurement, record, unsigned, meter.u64_gauge("gauge.u64")),
        5 => {
            let gauge = meter.i64_gauge("gauge.i64");
            measure!(
                measurement,
                record,
                signed,
                gauge.with_description("What it is.")
            );
        }
        6 => measure!(measurement, record, double, meter.f64_gauge("gauge.f64")),
        7 => {
            let histogram = meter.f64_histogram("histogram.f64");
            measure!(
                measurement,
                record,
                double,
                histogram.with_boundaries(bounds())
            );
        }
        _ => measure!(
            measurement,
            record,
            unsigned,
            meter.u64_histogram("histogram.u64")
        ),
    }
}

/// Registers observable instruments. The counter's values increase with each collection, and the
/// second collection omits one of its two series.
fn observe(meter: &Meter) {
    let round = AtomicU64::new(1);
    let next = move || round.fetch_add(1, Relaxed);
    meter
        .u64_observable_counter("observed.sum")
        .with_callback(move |observer| {
            let round = next();
            observer.observe(round * round, &[KeyValue::new("series", 1)]);
            if round != 2 {
                observer.observe(7 * round, &[KeyValue::new("series", 2)]);
            }
        })
        .build();
    meter
        .f64_observable_up_down_counter("observed.balance")
        .with_callback(|observer| observer.observe(-1.5, &[]))
        .build();
    meter
        .i64_observable_gauge("observed.gauge")
        .with_callback(|observer| observer.observe(-3, &[]))
        .build();
}

fn record_all(provider: &dyn MeterProvider, measurements: &[Measurement]) {
    for measurement in measurements {
        let tag = KeyValue::new("a", i64::from(measurement.scope));
        let meter = provider.meter_with_scope(test_scope(measurement.scope, vec![tag]));
        record(&meter, measurement);
    }
}

fn temporality() -> impl Strategy<Value = TemporalityPreference> {
    prop_oneof![
        Just(TemporalityPreference::Delta),
        Just(TemporalityPreference::Cumulative),
        Just(TemporalityPreference::LowMemory)
    ]
}

fn decoded(requests: &[MetricsRequest]) -> Vec<ExportMetricsServiceRequest> {
    let requests = requests.iter();
    requests
        .map(|request| ExportMetricsServiceRequest::decode(request.bytes.clone()).unwrap())
        .collect()
}

proptest! {
    #[test]
    fn every_field_equals_that_of_the_sdk_and_opentelemetry_proto(
        rounds in vec(vec(measurement(), 0..20), 1..4),
        temporality in temporality(),
        attributes in vec(attribute(), 0..4),
        limit in prop_oneof![Just(usize::MAX), 1..4000usize],
        is_observed in any::<bool>(),
    ) {
        let resource = Resource::builder_empty()
            .with_schema_url(attributes, "https://opentelemetry.io/schemas/1.42.0")
            .build();
        let frame = encode::resource(&resource);
        let (ours, theirs) = (Meters::new(temporality), Sdk::new(sdk::temporality(temporality), &resource));
        if is_observed {
            observe(&ours.meter("observed"));
            observe(&theirs.provider.meter("observed"));
        }
        for measurements in &rounds {
            record_all(&ours, measurements);
            record_all(&theirs.provider, measurements);
            let requests = ours.collect(&frame, limit, SystemTime::now());
            if limit == usize::MAX {
                prop_assert!(requests.len() <= 1);
            }
            let (ours, points) = normalize(decoded(&requests));
            prop_assert_eq!(points, requests.iter().map(|request| request.points).sum::<u64>());
            let (theirs, _) = normalize(vec![theirs.collect()]);
            prop_assert_eq!(ours, theirs);
        }
    }
}

#[test]
fn a_metric_is_split_across_requests_at_the_size_limit() {
    let meters = Meters::new(TemporalityPreference::Delta);
    let counter = meters.meter("test").u64_counter("orders").build();
    for number in 0..1000 {
        counter.add(1, &[KeyValue::new("key", number)]);
    }
    let requests = meters.collect(&ResourceFrame::default(), 4000, SystemTime::now());
    let lengths: Vec<usize> = requests.iter().map(|request| request.bytes.len()).collect();
    assert!(lengths.len() > 5, "{lengths:?}");
    assert!(lengths.iter().all(|length| *length < 4200), "{lengths:?}");
    let points: u64 = requests.iter().map(|request| request.points).sum();
    assert_eq!(points, 1000);
}

#[test]
fn no_data_point_ends_before_it_starts_if_the_clock_is_set_back() {
    let meters = Meters::new(TemporalityPreference::Delta);
    let counter = meters.meter("test").u64_counter("orders").build();
    let now = SystemTime::now();
    // `normalize` checks the start and end of each data point.
    for moment in [now + HOUR, now, now + 2 * HOUR] {
        counter.add(1, &[]);
        let requests = meters.collect(&ResourceFrame::default(), usize::MAX, moment);
        let (_, points) = normalize(decoded(&requests));
        assert_eq!(points, 1);
    }
}
