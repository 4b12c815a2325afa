//! The aggregated measurements of one instrument with one set of attributes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::otlp::encode::metrics::{Distribution, NumberValue};

/// Method by which measurements are aggregated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AggregationKind {
    /// Adds the measurements.
    Sum,
    /// Keeps the last measurement.
    LastValue,
    /// Keeps the last measurement, which is a sum since the start of the process.
    PrecomputedSum,
    /// Counts the measurements in buckets by size.
    Histogram,
}

#[derive(Debug)]
pub(super) struct Series(Mutex<SeriesState>);

#[derive(Debug)]
pub(super) struct SeriesState {
    /// The series is part of the next collection.
    pub(super) is_new: bool,
    value: Aggregate,
}

#[derive(Debug)]
enum Aggregate {
    Sum(NumberValue),
    LastValue(NumberValue),
    PrecomputedSum {
        sum: NumberValue,
        reported: NumberValue,
    },
    Histogram(Buckets),
}

#[derive(Debug)]
struct Buckets {
    counts: Box<[u64]>,
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
}

/// The value of a data point.
#[derive(Debug)]
pub(super) enum Point<'a> {
    Number(NumberValue),
    Distribution(Distribution<'a>),
}

impl Series {
    /// `zero` is a zero of the instrument's number type.
    pub(super) fn new(aggregation: AggregationKind, zero: NumberValue, bounds: &[f64]) -> Self {
        let value = match aggregation {
            AggregationKind::Sum => Aggregate::Sum(zero),
            AggregationKind::LastValue => Aggregate::LastValue(zero),
            AggregationKind::PrecomputedSum => Aggregate::PrecomputedSum {
                sum: zero,
                reported: zero,
            },
            AggregationKind::Histogram => Aggregate::Histogram(Buckets::new(bounds)),
        };
        let is_new = false;
        Self(Mutex::new(SeriesState { is_new, value }))
    }

    pub(super) fn record(&self, number: NumberValue, bounds: &[f64]) {
        let mut state = self.lock();
        state.is_new = true;
        match &mut state.value {
            Aggregate::Sum(sum) => *sum = add(*sum, number),
            Aggregate::LastValue(last) => *last = number,
            Aggregate::PrecomputedSum { sum, .. } => *sum = number,
            Aggregate::Histogram(buckets) => buckets.record(number.as_double(), bounds),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, SeriesState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SeriesState {
    /// Returns the value since the last collection (delta) or since the start.
    pub(super) fn point<'a>(&'a self, is_delta: bool, bounds: &'a [f64]) -> Point<'a> {
        match &self.value {
            Aggregate::PrecomputedSum { sum, reported } if is_delta => {
                Point::Number(subtract(*sum, *reported))
            }
            Aggregate::Sum(number)
            | Aggregate::LastValue(number)
            | Aggregate::PrecomputedSum { sum: number, .. } => Point::Number(*number),
            Aggregate::Histogram(buckets) => Point::Distribution(Distribution {
                count: buckets.count,
                sum: buckets.sum,
                min: buckets.min,
                max: buckets.max,
                bucket_counts: &buckets.counts,
                bounds,
            }),
        }
    }

    /// Starts the next delta at zero.
    pub(super) fn reset(&mut self) {
        match &mut self.value {
            Aggregate::Sum(NumberValue::Integer(sum)) => *sum = 0,
            Aggregate::Sum(NumberValue::Double(sum)) => *sum = 0.0,
            Aggregate::LastValue(_) => {}
            Aggregate::PrecomputedSum { sum, reported } => *reported = *sum,
            Aggregate::Histogram(buckets) => buckets.reset(),
        }
    }
}

impl Buckets {
    fn new(bounds: &[f64]) -> Self {
        // Without bounds there are no buckets, only a count and a sum.
        let buckets = if bounds.is_empty() {
            0
        } else {
            bounds.len() + 1
        };
        Self {
            counts: vec![0; buckets].into(),
            count: 0,
            sum: 0.0,
            min: f64::MAX,
            max: f64::MIN,
        }
    }

    fn record(&mut self, value: f64, bounds: &[f64]) {
        self.count += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        let bucket = bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
    }

    fn reset(&mut self) {
        self.counts.fill(0);
        (self.count, self.sum) = (0, 0.0);
        (self.min, self.max) = (f64::MAX, f64::MIN);
    }
}

/// Adds two numbers of one instrument, which have the same type.
fn add(one: NumberValue, other: NumberValue) -> NumberValue {
    match (one, other) {
        (NumberValue::Integer(one), NumberValue::Integer(other)) => {
            NumberValue::Integer(one.saturating_add(other))
        }
        _ => NumberValue::Double(one.as_double() + other.as_double()),
    }
}

/// Subtracts two numbers of one instrument, which have the same type.
fn subtract(from: NumberValue, number: NumberValue) -> NumberValue {
    match (from, number) {
        (NumberValue::Integer(from), NumberValue::Integer(number)) => {
            NumberValue::Integer(from.saturating_sub(number))
        }
        _ => NumberValue::Double(from.as_double() - number.as_double()),
    }
}
