//! The meters of the process and their instruments.
//!
//! OpenTelemetry's SDK has an implementation as well, but compiles it once for each number type.
//! The binary of the example `noop` had 3,658,232 bytes with the SDK's, and has 3,274,776 with this
//! one (release, default features). An invocation took 1.43 and 0.93 times the instructions of
//! `bare` with batches of 1 and 10 messages, and takes 1.27 and 0.90. These figures were counted
//! once with callgrind as in `bench/`, which has no row for the SDK's implementation. This one
//! supports everything that the API can request, but no views, no second reader and no exponential
//! histograms.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use opentelemetry::InstrumentationScope;
use opentelemetry::metrics::{
    AsyncInstrumentBuilder, Callback, Counter, Gauge, Histogram, HistogramBuilder,
    InstrumentBuilder, InstrumentProvider, Meter, MeterProvider, ObservableCounter,
    ObservableGauge, ObservableUpDownCounter, UpDownCounter,
};
use opentelemetry_sdk::metrics::InstrumentKind;
use tracing::warn;

use super::instrument::{
    InstrumentDescriptor, InstrumentHandle, InstrumentValue, MetricInstrument,
};
use super::series::AggregationKind;
use crate::config::TemporalityPreference;
use crate::otlp::encode::metrics::{
    AggregationTemporality, MetricsEncoder, MetricsRequest, NumberValue, TimeRange,
};
use crate::otlp::encode::{ResourceFrame, nanos};

/// Default boundaries of a histogram (metrics SDK specification, "Explicit Bucket Histogram
/// Aggregation").
const DEFAULT_BOUNDS: [f64; 15] = [
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0,
    10_000.0,
];
/// Maximum lengths of a name and of a unit (metrics API specification, "Instrument").
const MAX_NAME: usize = 255;
const MAX_UNIT: usize = 63;

/// The meter provider. Clones share the meters.
#[derive(Debug, Clone)]
pub(crate) struct Meters(Arc<MetersInner>);

#[derive(Debug)]
struct MetersInner {
    temporality: TemporalityPreference,
    start: u64,
    last_collection: Mutex<u64>,
    meters: Mutex<Vec<Arc<MeterState>>>,
}

#[derive(Debug)]
struct MeterState {
    scope: InstrumentationScope,
    temporality: TemporalityPreference,
    instruments: Mutex<Vec<Arc<MetricInstrument>>>,
}

impl Meters {
    pub(crate) fn new(temporality: TemporalityPreference) -> Self {
        let now = nanos(SystemTime::now());
        Self(Arc::new(MetersInner {
            temporality,
            start: now,
            last_collection: Mutex::new(now),
            meters: Mutex::default(),
        }))
    }

    /// Collects all measurements since the last collection, or since the start for cumulative
    /// instruments. Requests are closed when they reach `limit` bytes.
    pub(crate) fn collect(
        &self,
        resource: &ResourceFrame,
        limit: usize,
        now: SystemTime,
    ) -> Vec<MetricsRequest> {
        let mut last_collection = lock(&self.0.last_collection);
        // If the clock was set back, an interval must not end before it begins.
        let end = nanos(now).max(*last_collection);
        let since_last = TimeRange {
            start: std::mem::replace(&mut last_collection, end),
            end,
        };
        let since_start = TimeRange {
            start: self.0.start,
            end,
        };
        let mut encoder = MetricsEncoder::new(resource, limit);
        // Without the lock, because callbacks of the program may create instruments.
        let meters = lock(&self.0.meters).clone();
        for meter in meters {
            let instruments = lock(&meter.instruments).clone();
            encoder.open_scope(&meter.scope);
            for instrument in instruments {
                instrument.observe();
                instrument.collect(&mut encoder, since_last, since_start);
            }
            encoder.close_scope();
        }
        encoder.finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MeterProvider for Meters {
    fn meter_with_scope(&self, scope: InstrumentationScope) -> Meter {
        let mut meters = lock(&self.0.meters);
        let known = meters.iter().find(|known| known.scope == scope).cloned();
        let meter = known.unwrap_or_else(|| {
            let new = Arc::new(MeterState {
                scope,
                temporality: self.0.temporality,
                instruments: Mutex::default(),
            });
            meters.push(Arc::clone(&new));
            new
        });
        Meter::new(Arc::new(MeterHandle(meter)))
    }
}

/// The implementation behind the API's meter.
#[derive(Debug)]
struct MeterHandle(Arc<MeterState>);

impl MeterState {
    fn instrument(&self, descriptor: InstrumentDescriptor) -> Arc<MetricInstrument> {
        if let Err(problem) = check(&descriptor) {
            let name = &*descriptor.name;
            warn!(name, "invalid instrument records nothing: {problem}");
            return Arc::new(MetricInstrument::new(descriptor, false));
        }
        let mut instruments = lock(&self.instruments);
        let known = instruments
            .iter()
            .find(|known| known.has_descriptor(&descriptor));
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let new = Arc::new(MetricInstrument::new(descriptor, true));
        instruments.push(Arc::clone(&new));
        new
    }

    /// Returns the instrument of this kind and identity. Not inlined, because the API has a method
    /// for each kind and number type, and each would contain a copy.
    #[inline(never)]
    fn instrument_of_kind(
        &self,
        kind: InstrumentKind,
        zero: NumberValue,
        identity: InstrumentIdentity,
        bounds: Box<[f64]>,
    ) -> Arc<MetricInstrument> {
        let descriptor = self.descriptor(kind, zero, identity);
        self.instrument(InstrumentDescriptor {
            bounds,
            ..descriptor
        })
    }

    /// Returns the histogram with this identity.
    #[inline(never)]
    fn histogram(
        &self,
        zero: NumberValue,
        identity: InstrumentIdentity,
        bounds: Option<Vec<f64>>,
    ) -> Arc<MetricInstrument> {
        let bounds = bounds.map_or_else(|| DEFAULT_BOUNDS.into(), Vec::into_boxed_slice);
        self.instrument_of_kind(InstrumentKind::Histogram, zero, identity, bounds)
    }

    /// Adds the callbacks to the observable instrument of this kind and identity.
    #[inline(never)]
    fn observe<T: InstrumentValue>(
        &self,
        kind: InstrumentKind,
        identity: InstrumentIdentity,
        callbacks: Vec<Callback<T>>,
    ) {
        let instrument = self.instrument_of_kind(kind, T::ZERO, identity, Box::default());
        for callback in callbacks {
            instrument.add_callback(Arc::new(move |instrument| callback(instrument)));
        }
    }

    fn descriptor(
        &self,
        kind: InstrumentKind,
        zero: NumberValue,
        (name, description, unit): InstrumentIdentity,
    ) -> InstrumentDescriptor {
        use InstrumentKind::{
            Counter, Gauge, Histogram, ObservableCounter, ObservableGauge, ObservableUpDownCounter,
            UpDownCounter,
        };
        InstrumentDescriptor {
            name,
            description: description.unwrap_or_default(),
            unit: unit.unwrap_or_default(),
            aggregation: match kind {
                Counter | UpDownCounter => AggregationKind::Sum,
                ObservableCounter | ObservableUpDownCounter => AggregationKind::PrecomputedSum,
                Gauge | ObservableGauge => AggregationKind::LastValue,
                Histogram => AggregationKind::Histogram,
            },
            is_observable: matches!(
                kind,
                ObservableCounter | ObservableUpDownCounter | ObservableGauge
            ),
            zero,
            is_monotonic: matches!(kind, Counter | ObservableCounter),
            temporality: aggregation_temporality(kind, self.temporality),
            bounds: Box::default(),
        }
    }
}

/// Name, description and unit.
type InstrumentIdentity = (
    Cow<'static, str>,
    Option<Cow<'static, str>>,
    Option<Cow<'static, str>>,
);

/// Returns the temporality of an instrument's data points (specification of the OTLP metrics
/// exporter, "Additional Configuration").
fn aggregation_temporality(
    kind: InstrumentKind,
    preference: TemporalityPreference,
) -> AggregationTemporality {
    use InstrumentKind::{Counter, Histogram, ObservableUpDownCounter, UpDownCounter};
    match (preference, kind) {
        (TemporalityPreference::Delta, UpDownCounter | ObservableUpDownCounter) => {
            AggregationTemporality::Cumulative
        }
        (TemporalityPreference::Delta, _)
        | (TemporalityPreference::LowMemory, Counter | Histogram) => AggregationTemporality::Delta,
        _ => AggregationTemporality::Cumulative,
    }
}

/// Checks a descriptor (metrics API specification, "Instrument").
fn check(descriptor: &InstrumentDescriptor) -> Result<(), &'static str> {
    let InstrumentDescriptor {
        name, unit, bounds, ..
    } = descriptor;
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
    if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return Err("its name must start with an ASCII letter");
    }
    if name.len() > MAX_NAME || !name.bytes().all(is_name_byte) {
        return Err("its name must have at most 255 ASCII letters, digits, `_`, `.`, `-` or `/`");
    }
    if unit.len() > MAX_UNIT || !unit.is_ascii() {
        return Err("its unit must have at most 63 ASCII characters");
    }
    let is_ordered = bounds.windows(2).all(|pair| pair[0] < pair[1]);
    if !is_ordered || !bounds.iter().all(|bound| bound.is_finite()) {
        return Err("its boundaries must be finite and in ascending order");
    }
    Ok(())
}

/// Implements synchronous instruments other than histograms, which differ in kind and number only.
macro_rules! instruments {
    ($($name:ident: $kind:ident<$number:ty>,)*) => {
        $(fn $name(&self, builder: InstrumentBuilder<'_, $kind<$number>>) -> $kind<$number> {
            let identity = (builder.name, builder.description, builder.unit);
            let (kind, zero) = (InstrumentKind::$kind, <$number>::ZERO);
            let instrument = self.0.instrument_of_kind(kind, zero, identity, Box::default());
            $kind::new(Arc::new(InstrumentHandle(instrument)))
        })*
    };
}

macro_rules! histograms {
    ($($name:ident: $number:ty,)*) => {
        $(fn $name(&self, builder: HistogramBuilder<'_, Histogram<$number>>) -> Histogram<$number> {
            let identity = (builder.name, builder.description, builder.unit);
            let instrument = self.0.histogram(<$number>::ZERO, identity, builder.boundaries);
            Histogram::new(Arc::new(InstrumentHandle(instrument)))
        })*
    };
}

macro_rules! observables {
    ($($name:ident: $kind:ident<$number:ty>,)*) => {
        $(fn $name(
            &self,
            builder: AsyncInstrumentBuilder<'_, $kind<$number>, $number>,
        ) -> $kind<$number> {
            let identity = (builder.name, builder.description, builder.unit);
            self.0.observe(InstrumentKind::$kind, identity, builder.callbacks);
            $kind::new()
        })*
    };
}

impl InstrumentProvider for MeterHandle {
    instruments! {
        u64_counter: Counter<u64>,
        f64_counter: Counter<f64>,
        i64_up_down_counter: UpDownCounter<i64>,
        f64_up_down_counter: UpDownCounter<f64>,
        u64_gauge: Gauge<u64>,
        i64_gauge: Gauge<i64>,
        f64_gauge: Gauge<f64>,
    }

    histograms! {
        u64_histogram: u64,
        f64_histogram: f64,
    }

    observables! {
        u64_observable_counter: ObservableCounter<u64>,
        f64_observable_counter: ObservableCounter<f64>,
        i64_observable_up_down_counter: ObservableUpDownCounter<i64>,
        f64_observable_up_down_counter: ObservableUpDownCounter<f64>,
        u64_observable_gauge: ObservableGauge<u64>,
        i64_observable_gauge: ObservableGauge<i64>,
        f64_observable_gauge: ObservableGauge<f64>,
    }
}
