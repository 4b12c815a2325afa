//! Capture of measurements, without aggregation.

use std::borrow::Cow;
use std::sync::Arc;

use opentelemetry::metrics::{
    BoundSyncInstrument, Counter, Gauge, Histogram, HistogramBuilder, InstrumentBuilder,
    InstrumentProvider, Meter, MeterProvider, SyncInstrument, UpDownCounter,
};
use opentelemetry::{InstrumentationScope, KeyValue};

use super::span::attributes_to_json;

/// A value that the runtime or a handler recorded with an instrument.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Measurement {
    /// Name of the instrument, such as `messaging.process.duration`.
    pub name: String,
    /// Unit of the instrument, such as `s`, or an empty string.
    pub unit: String,
    /// The recorded value.
    pub value: f64,
    /// Attributes, as a JSON object.
    pub attributes: serde_json::Value,
}

/// Function that gets each measurement.
type Record = Arc<dyn Fn(Measurement) + Send + Sync>;

/// A meter provider whose instruments pass each measurement to a function. Instruments that are
/// observed by callbacks do nothing.
#[derive(Clone)]
pub(super) struct CapturingMeters(Record);

impl CapturingMeters {
    pub(super) fn new(record: impl Fn(Measurement) + Send + Sync + 'static) -> Self {
        Self(Arc::new(record))
    }

    fn instrument(
        &self,
        name: Cow<'static, str>,
        unit: Option<Cow<'static, str>>,
    ) -> Arc<CapturingInstrument> {
        Arc::new(CapturingInstrument {
            record: Arc::clone(&self.0),
            name,
            unit: unit.unwrap_or_default(),
        })
    }
}

impl MeterProvider for CapturingMeters {
    fn meter_with_scope(&self, _: InstrumentationScope) -> Meter {
        Meter::new(Arc::new(self.clone()))
    }
}

/// Implements instruments, which differ in their types only.
macro_rules! instruments {
    ($($name:ident: $builder:ident<$kind:ident<$number:ty>>,)*) => {
        $(fn $name(&self, builder: $builder<'_, $kind<$number>>) -> $kind<$number> {
            $kind::new(self.instrument(builder.name, builder.unit))
        })*
    };
}

impl InstrumentProvider for CapturingMeters {
    instruments! {
        u64_counter: InstrumentBuilder<Counter<u64>>,
        f64_counter: InstrumentBuilder<Counter<f64>>,
        i64_up_down_counter: InstrumentBuilder<UpDownCounter<i64>>,
        f64_up_down_counter: InstrumentBuilder<UpDownCounter<f64>>,
        u64_gauge: InstrumentBuilder<Gauge<u64>>,
        i64_gauge: InstrumentBuilder<Gauge<i64>>,
        f64_gauge: InstrumentBuilder<Gauge<f64>>,
        u64_histogram: HistogramBuilder<Histogram<u64>>,
        f64_histogram: HistogramBuilder<Histogram<f64>>,
    }
}

struct CapturingInstrument {
    record: Record,
    name: Cow<'static, str>,
    unit: Cow<'static, str>,
}

impl CapturingInstrument {
    fn measurement(&self, value: f64, attributes: &[KeyValue]) -> Measurement {
        Measurement {
            name: self.name.clone().into_owned(),
            unit: self.unit.clone().into_owned(),
            value,
            attributes: attributes_to_json(attributes),
        }
    }
}

/// An instrument with fixed attributes.
struct BoundInstrument {
    record: Record,
    measurement: Measurement,
}

macro_rules! numbers {
    ($($number:ty,)*) => {
        $(impl SyncInstrument<$number> for CapturingInstrument {
            fn measure(&self, value: $number, attributes: &[KeyValue]) {
                (self.record)(self.measurement(value as f64, attributes));
            }

            fn bind(
                &self,
                attributes: &[KeyValue],
            ) -> Box<dyn BoundSyncInstrument<$number> + Send + Sync> {
                Box::new(BoundInstrument {
                    record: Arc::clone(&self.record),
                    measurement: self.measurement(0.0, attributes),
                })
            }
        }

        impl BoundSyncInstrument<$number> for BoundInstrument {
            fn measure(&self, value: $number) {
                (self.record)(Measurement {
                    value: value as f64,
                    ..self.measurement.clone()
                });
            }
        })*
    };
}

numbers! {
    u64,
    i64,
    f64,
}
