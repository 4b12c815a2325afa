//! The meter provider of the process.

use std::fmt;

use opentelemetry::InstrumentationScope;
use opentelemetry::metrics::noop::NoopMeterProvider;
use opentelemetry::metrics::{Meter, MeterProvider};

use crate::metrics::Metrics;

/// The meter provider of the exporter or of a test, or one that does nothing.
pub(super) struct AnyMeterProvider(Box<dyn MeterProvider + Send + Sync>);

impl fmt::Debug for AnyMeterProvider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AnyMeterProvider")
    }
}

impl AnyMeterProvider {
    pub(super) fn from_metrics(metrics: Option<&Metrics>) -> Self {
        match metrics {
            Some(metrics) => Self::new(metrics.meters().clone()),
            None => Self::noop(),
        }
    }

    pub(super) fn noop() -> Self {
        Self::new(NoopMeterProvider::new())
    }

    pub(super) fn new(provider: impl MeterProvider + Send + Sync + 'static) -> Self {
        Self(Box::new(provider))
    }

    pub(super) fn meter_with_scope(&self, scope: InstrumentationScope) -> Meter {
        self.0.meter_with_scope(scope)
    }
}
