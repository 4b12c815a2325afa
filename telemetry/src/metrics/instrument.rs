//! Instruments and their aggregated measurements.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, BoundSyncInstrument, SyncInstrument};
use tracing::warn;

use super::series::{Aggregation, Point, Series, SeriesState};
use crate::otlp::encode::metrics::{
    AggregationTemporality, Kind, Metric, Number, TimeRange, Writer,
};

/// Maximum number of sets of attributes of an instrument (metrics SDK specification, "Cardinality
/// limits").
const MAX_SERIES: usize = 2000;
/// Attribute of the series that holds all measurements beyond that limit.
const OVERFLOW: &str = "otel.metric.overflow";

/// The description of an instrument. Instruments with equal descriptions are the same.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Description {
    pub(super) name: Cow<'static, str>,
    pub(super) description: Cow<'static, str>,
    pub(super) unit: Cow<'static, str>,
    pub(super) aggregation: Aggregation,
    /// A zero of the instrument's type of number.
    pub(super) zero: Number,
    pub(super) is_monotonic: bool,
    /// The instrument is measured by callbacks, during a collection.
    pub(super) is_observable: bool,
    pub(super) temporality: AggregationTemporality,
    pub(super) bounds: Box<[f64]>,
}

/// The callback of an observable instrument.
pub(super) type Callback = Arc<dyn Fn(&Instrument) + Send + Sync>;

pub(super) struct Instrument {
    description: Description,
    /// Keyed by attributes, which are sorted by name.
    series: Mutex<HashMap<Box<[KeyValue]>, Arc<Series>>>,
    callbacks: Mutex<Vec<Callback>>,
    /// An instrument with an invalid description records nothing.
    is_valid: bool,
}

impl fmt::Debug for Instrument {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.description.fmt(formatter)
    }
}

impl Instrument {
    pub(super) fn new(description: Description, is_valid: bool) -> Self {
        Self {
            description,
            series: Mutex::default(),
            callbacks: Mutex::default(),
            is_valid,
        }
    }

    /// Returns `true` if an instrument with this description is the same as this one.
    pub(super) fn has_description(&self, other: &Description) -> bool {
        self.description == *other
    }

    pub(super) fn add_callback(&self, callback: Callback) {
        let mut callbacks = self
            .callbacks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        callbacks.push(callback);
    }

    fn record(&self, number: Number, attributes: &[KeyValue]) {
        if self.is_valid && number.is_finite() {
            self.with_series(attributes, |series| {
                series.record(number, &self.description.bounds);
            });
        }
    }

    /// Calls `then` with the series for these attributes, which is created if necessary. Beyond
    /// the limit, all attributes share one series.
    fn with_series<T>(&self, attributes: &[KeyValue], then: impl FnOnce(&Arc<Series>) -> T) -> T {
        let mut map = self.lock();
        if let Some(series) = map.get(attributes) {
            return then(series);
        }
        let mut attributes = sorted_attributes(attributes);
        if !map.contains_key(&attributes) && map.len() >= MAX_SERIES {
            attributes = Box::new([KeyValue::new(OVERFLOW, true)]);
        }
        let new = || {
            let Description {
                aggregation,
                zero,
                bounds,
                ..
            } = &self.description;
            Arc::new(Series::new(*aggregation, *zero, bounds))
        };
        then(map.entry(attributes).or_insert_with(new))
    }

    /// Calls the callbacks of an observable instrument.
    pub(super) fn observe(&self) {
        if !self.description.is_observable {
            return;
        }
        let callbacks = self
            .callbacks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for callback in &callbacks {
            if catch_unwind(AssertUnwindSafe(|| callback(self))).is_err() {
                let instrument = &*self.description.name;
                warn!(
                    instrument,
                    "the callback of an observable instrument panicked"
                );
            }
        }
    }

    /// Writes the new data points, and removes series that are no longer used.
    pub(super) fn collect(
        &self,
        writer: &mut Writer<'_>,
        since_last: TimeRange,
        since_start: TimeRange,
    ) {
        let Description {
            is_observable,
            temporality,
            bounds,
            ..
        } = &self.description;
        let is_delta = *temporality == AggregationTemporality::Delta;
        let times = if is_delta { since_last } else { since_start };
        let metric = self.metric();
        let mut write = |attributes: &[KeyValue], state: &SeriesState| match state
            .point(is_delta, bounds)
        {
            Point::Number(number) => writer.add_number(metric, times, number, attributes),
            Point::Distribution(point) => writer.add_histogram(metric, times, point, attributes),
        };
        // The callbacks of an observable instrument measure everything that exists. A series that
        // they no longer measure is gone.
        let is_per_collection = is_delta || *is_observable;
        self.lock().retain(|attributes, series| {
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
        writer.close_metric(metric);
    }

    fn metric(&self) -> Metric<'_> {
        let Description {
            name,
            description,
            unit,
            aggregation,
            is_monotonic,
            temporality,
            ..
        } = &self.description;
        Metric {
            name,
            description,
            unit,
            kind: match aggregation {
                Aggregation::Last => Kind::Gauge,
                Aggregation::Histogram => Kind::Histogram {
                    temporality: *temporality,
                },
                Aggregation::Sum | Aggregation::Observed => Kind::Sum {
                    temporality: *temporality,
                    is_monotonic: *is_monotonic,
                },
            },
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<[KeyValue]>, Arc<Series>>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the attributes sorted by name. Of several with the same name, the first is kept.
fn sorted_attributes(attributes: &[KeyValue]) -> Box<[KeyValue]> {
    let mut attributes = attributes.to_vec();
    attributes.sort_by(|one, other| one.key.cmp(&other.key));
    attributes.dedup_by(|next, before| next.key == before.key);
    attributes.into()
}

/// A type of number that instruments measure.
pub(super) trait InstrumentValue: Copy + 'static {
    const ZERO: Number;

    fn number(self) -> Number;
}

impl InstrumentValue for u64 {
    const ZERO: Number = Number::Integer(0);

    fn number(self) -> Number {
        Number::Integer(i64::try_from(self).unwrap_or(i64::MAX))
    }
}

impl InstrumentValue for i64 {
    const ZERO: Number = Number::Integer(0);

    fn number(self) -> Number {
        Number::Integer(self)
    }
}

impl InstrumentValue for f64 {
    const ZERO: Number = Number::Double(0.0);

    fn number(self) -> Number {
        Number::Double(self)
    }
}

/// The implementation behind the API's instruments.
#[derive(Debug)]
pub(super) struct InstrumentHandle(pub(super) Arc<Instrument>);

/// An instrument with fixed attributes, whose series is looked up once.
struct BoundInstrument {
    instrument: Arc<Instrument>,
    series: Arc<Series>,
}

impl<T: InstrumentValue> SyncInstrument<T> for InstrumentHandle {
    fn measure(&self, measurement: T, attributes: &[KeyValue]) {
        self.0.record(measurement.number(), attributes);
    }

    fn bind(&self, attributes: &[KeyValue]) -> Box<dyn BoundSyncInstrument<T> + Send + Sync> {
        Box::new(BoundInstrument {
            instrument: Arc::clone(&self.0),
            series: self.0.with_series(attributes, Arc::clone),
        })
    }
}

impl<T: InstrumentValue> BoundSyncInstrument<T> for BoundInstrument {
    fn measure(&self, measurement: T) {
        let instrument = &self.instrument;
        let number = measurement.number();
        if instrument.is_valid && number.is_finite() {
            self.series.record(number, &instrument.description.bounds);
        }
    }
}

impl<T: InstrumentValue> AsyncInstrument<T> for Instrument {
    fn observe(&self, measurement: T, attributes: &[KeyValue]) {
        self.record(measurement.number(), attributes);
    }
}
