//! The SDK's meters with callbacks that cannot poison them: the SDK calls the callbacks of
//! observable instruments while it holds a lock that it needs for each collection.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use opentelemetry::InstrumentationScope;
use opentelemetry::metrics::{
    AsyncInstrument, AsyncInstrumentBuilder, Callback, Counter, Gauge, Histogram, HistogramBuilder,
    InstrumentBuilder, InstrumentProvider, Meter, MeterProvider, ObservableCounter,
    ObservableGauge, ObservableUpDownCounter, UpDownCounter,
};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use tracing::error;

use crate::panics::catch_panic;

/// The SDK's meter provider. Panics in the callbacks of its instruments are caught.
#[derive(Debug, Clone)]
pub(crate) struct GuardedMeters(pub(super) SdkMeterProvider);

impl MeterProvider for GuardedMeters {
    fn meter_with_scope(&self, scope: InstrumentationScope) -> Meter {
        Meter::new(Arc::new(GuardedMeter(self.0.meter_with_scope(scope))))
    }
}

struct GuardedMeter(Meter);

impl GuardedMeter {
    fn inner(&self) -> &dyn InstrumentProvider {
        // A builder is the only access to the provider of a meter.
        self.0.u64_counter("").instrument_provider
    }
}

/// Catches panics in a callback, and logs the first one.
fn guard<T: 'static>(instrument: &str, callback: Callback<T>) -> Callback<T> {
    let is_logged = AtomicBool::new(false);
    let instrument = instrument.to_owned();
    Box::new(move |observer: &dyn AsyncInstrument<T>| {
        if let Err(panic) = catch_panic(|| callback(observer))
            && !is_logged.swap(true, Relaxed)
        {
            error!(
                instrument,
                panic, "the callback of an observable instrument panicked"
            );
        }
    })
}

macro_rules! instruments {
    ($($name:ident: $builder:ident<$instrument:ty>,)*) => {
        $(fn $name(&self, builder: $builder<'_, $instrument>) -> $instrument {
            self.inner().$name(builder)
        })*
    };
}

macro_rules! observables {
    ($($name:ident: $instrument:ident<$number:ty>,)*) => {
        $(fn $name(
            &self,
            mut builder: AsyncInstrumentBuilder<'_, $instrument<$number>, $number>,
        ) -> $instrument<$number> {
            let callbacks = std::mem::take(&mut builder.callbacks).into_iter();
            let guarded = callbacks.map(|callback| guard(&builder.name, callback)).collect();
            builder.callbacks = guarded;
            self.inner().$name(builder)
        })*
    };
}

impl InstrumentProvider for GuardedMeter {
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
