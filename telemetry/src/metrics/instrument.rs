//! Instruments and their aggregated measurements.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use foldhash::fast::RandomState;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, BoundSyncInstrument, SyncInstrument};
use tracing::warn;

use super::series::{AggregationKind, Point, Series, SeriesState};
use crate::otlp::encode::metrics::{
    AggregationTemporality, MetricDescriptor, MetricKind, MetricsEncoder, NumberValue, TimeRange,
};
use crate::panics::catch_panic;

/// Maximum number of attribute sets per instrument (metrics SDK specification, "Cardinality
/// limits").
const MAX_SERIES: usize = 2000;
/// Attribute of the series that holds all measurements beyond that limit.
const OVERFLOW: &str = "otel.metric.overflow";

/// Descriptor of an instrument. Instruments with equal descriptors are the same.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct InstrumentDescriptor {
    pub(super) name: Cow<'static, str>,
    pub(super) description: Cow<'static, str>,
    pub(super) unit: Cow<'static, str>,
    pub(super) aggregation: AggregationKind,
    /// A zero of the instrument's number type.
    pub(super) zero: NumberValue,
    pub(super) is_monotonic: bool,
    /// The instrument is measured by callbacks, during a collection.
    pub(super) is_observable: bool,
    pub(super) temporality: AggregationTemporality,
    pub(super) bounds: Box<[f64]>,
}

/// The callback of an observable instrument.
pub(super) type InstrumentCallback = Arc<dyn Fn(&MetricInstrument) + Send + Sync>;

/// Series by their attributes, which are sorted by name. The hash is several times faster than
/// std's. It protects less against keys that collide on purpose, but [`MAX_SERIES`] limits their
/// number.
type SeriesMap = HashMap<Box<[KeyValue]>, Arc<Series>, RandomState>;

pub(super) struct MetricInstrument {
    descriptor: InstrumentDescriptor,
    /// A measurement takes only the read lock, unless its series is new.
    series: RwLock<SeriesMap>,
    callbacks: Mutex<Vec<InstrumentCallback>>,
    /// An instrument with an invalid descriptor records nothing.
    is_valid: bool,
}

impl fmt::Debug for MetricInstrument {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.descriptor.fmt(formatter)
    }
}

impl MetricInstrument {
    pub(super) fn new(descriptor: InstrumentDescriptor, is_valid: bool) -> Self {
        Self {
            descriptor,
            series: RwLock::default(),
            callbacks: Mutex::default(),
            is_valid,
        }
    }

    /// Returns `true` if an instrument with this descriptor is the same as this one.
    pub(super) fn has_descriptor(&self, other: &InstrumentDescriptor) -> bool {
        self.descriptor == *other
    }

    pub(super) fn add_callback(&self, callback: InstrumentCallback) {
        let mut callbacks = self
            .callbacks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        callbacks.push(callback);
    }

    fn record(&self, number: NumberValue, attributes: &[KeyValue]) {
        if self.is_valid && number.is_finite() {
            let series = self.find_or_create_series(attributes);
            series.record(number, &self.descriptor.bounds);
        }
    }

    /// Returns the series for these attributes, which is created if necessary. Beyond the limit,
    /// all new attribute sets share one series.
    fn find_or_create_series(&self, attributes: &[KeyValue]) -> Arc<Series> {
        if let Some(series) = self.read_series().get(attributes) {
            return Arc::clone(series);
        }
        let mut attributes = sorted_attributes(attributes);
        {
            let map = self.read_series();
            if !map.contains_key(&attributes) && map.len() >= MAX_SERIES {
                attributes = overflow_attributes();
            }
            if let Some(series) = map.get(&attributes) {
                return Arc::clone(series);
            }
        }
        let mut map = self.write_series();
        if !map.contains_key(&attributes) && map.len() >= MAX_SERIES {
            attributes = overflow_attributes();
        }
        let new = || {
            let InstrumentDescriptor {
                aggregation,
                zero,
                bounds,
                ..
            } = &self.descriptor;
            Arc::new(Series::new(*aggregation, *zero, bounds))
        };
        Arc::clone(map.entry(attributes).or_insert_with(new))
    }

    /// Calls the callbacks of an observable instrument.
    pub(super) fn observe(&self) {
        if !self.descriptor.is_observable {
            return;
        }
        let callbacks = self
            .callbacks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for callback in &callbacks {
            if let Err(panic) = catch_panic(|| callback(self)) {
                let instrument = &*self.descriptor.name;
                warn!(
                    instrument,
                    panic, "the callback of an observable instrument panicked"
                );
            }
        }
    }

    /// Writes the new data points, and removes series that are no longer used.
    pub(super) fn collect(
        &self,
        encoder: &mut MetricsEncoder<'_>,
        since_last: TimeRange,
        since_start: TimeRange,
    ) {
        let InstrumentDescriptor {
            is_observable,
            temporality,
            bounds,
            ..
        } = &self.descriptor;
        let is_delta = *temporality == AggregationTemporality::Delta;
        let times = if is_delta { since_last } else { since_start };
        let metric = self.metric();
        let mut write = |attributes: &[KeyValue], state: &SeriesState| match state
            .point(is_delta, bounds)
        {
            Point::Number(number) => encoder.add_number(metric, times, number, attributes),
            Point::Distribution(point) => encoder.add_histogram(metric, times, point, attributes),
        };
        // The callbacks of an observable instrument measure everything that exists. A series that
        // they no longer measure is gone.
        let is_per_collection = is_delta || *is_observable;
        self.write_series().retain(|attributes, series| {
            let mut state = series.lock();
            let is_reported = state.is_new;
            if is_reported {
                write(attributes, &state);
                state.is_new = !is_per_collection;
            }
            if is_reported && is_delta {
                state.reset();
            }
            // A bound instrument holds its series and may record to it again.
            is_reported || Arc::strong_count(series) > 1
        });
        encoder.close_metric(metric);
    }

    fn metric(&self) -> MetricDescriptor<'_> {
        let InstrumentDescriptor {
            name,
            description,
            unit,
            aggregation,
            is_monotonic,
            temporality,
            ..
        } = &self.descriptor;
        MetricDescriptor {
            name,
            description,
            unit,
            kind: match aggregation {
                AggregationKind::LastValue => MetricKind::Gauge,
                AggregationKind::Histogram => MetricKind::Histogram {
                    temporality: *temporality,
                },
                AggregationKind::Sum | AggregationKind::PrecomputedSum => MetricKind::Sum {
                    temporality: *temporality,
                    is_monotonic: *is_monotonic,
                },
            },
        }
    }

    fn read_series(&self) -> RwLockReadGuard<'_, SeriesMap> {
        self.series.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_series(&self) -> RwLockWriteGuard<'_, SeriesMap> {
        self.series.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn overflow_attributes() -> Box<[KeyValue]> {
    Box::new([KeyValue::new(OVERFLOW, true)])
}

/// Returns the attributes sorted by name. Of several with the same name, the first is kept.
fn sorted_attributes(attributes: &[KeyValue]) -> Box<[KeyValue]> {
    let mut attributes = attributes.to_vec();
    attributes.sort_by(|one, other| one.key.cmp(&other.key));
    attributes.dedup_by(|next, before| next.key == before.key);
    attributes.into()
}

/// A number type that instruments measure.
pub(super) trait InstrumentValue: Copy + 'static {
    const ZERO: NumberValue;

    fn number(self) -> NumberValue;
}

impl InstrumentValue for u64 {
    const ZERO: NumberValue = NumberValue::Integer(0);

    fn number(self) -> NumberValue {
        NumberValue::Integer(i64::try_from(self).unwrap_or(i64::MAX))
    }
}

impl InstrumentValue for i64 {
    const ZERO: NumberValue = NumberValue::Integer(0);

    fn number(self) -> NumberValue {
        NumberValue::Integer(self)
    }
}

impl InstrumentValue for f64 {
    const ZERO: NumberValue = NumberValue::Double(0.0);

    fn number(self) -> NumberValue {
        NumberValue::Double(self)
    }
}

/// The implementation behind the API's instruments.
#[derive(Debug)]
pub(super) struct InstrumentHandle(pub(super) Arc<MetricInstrument>);

/// An instrument with fixed attributes, whose series is looked up once.
struct BoundInstrument {
    instrument: Arc<MetricInstrument>,
    series: Arc<Series>,
}

impl<T: InstrumentValue> SyncInstrument<T> for InstrumentHandle {
    fn measure(&self, measurement: T, attributes: &[KeyValue]) {
        self.0.record(measurement.number(), attributes);
    }

    fn bind(&self, attributes: &[KeyValue]) -> Box<dyn BoundSyncInstrument<T> + Send + Sync> {
        Box::new(BoundInstrument {
            instrument: Arc::clone(&self.0),
            series: self.0.find_or_create_series(attributes),
        })
    }
}

impl<T: InstrumentValue> BoundSyncInstrument<T> for BoundInstrument {
    fn measure(&self, measurement: T) {
        let instrument = &self.instrument;
        let number = measurement.number();
        if instrument.is_valid && number.is_finite() {
            self.series.record(number, &instrument.descriptor.bounds);
        }
    }
}

impl<T: InstrumentValue> AsyncInstrument<T> for MetricInstrument {
    fn observe(&self, measurement: T, attributes: &[KeyValue]) {
        self.record(measurement.number(), attributes);
    }
}
