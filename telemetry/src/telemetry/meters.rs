//! Whatever makes the process's meters.

use std::fmt;

use opentelemetry::InstrumentationScope;
use opentelemetry::metrics::noop::NoopMeterProvider;
use opentelemetry::metrics::{Meter, MeterProvider};

use crate::metrics::Metrics;

/// The exported ones, a test's, or those whose instruments do nothing.
pub(super) struct AnyMeters(Box<dyn MeterProvider + Send + Sync>);

impl fmt::Debug for AnyMeters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AnyMeters")
    }
}

impl AnyMeters {
    pub(super) fn of(metrics: Option<&Metrics>) -> Self {
        match metrics {
            Some(metrics) => Self::from_provider(metrics.meters().clone()),
            None => Self::from_provider(NoopMeterProvider::new()),
        }
    }

    pub(super) fn from_provider(provider: impl MeterProvider + Send + Sync + 'static) -> Self {
        Self(Box::new(provider))
    }

    pub(super) fn meter_with_scope(&self, scope: InstrumentationScope) -> Meter {
        self.0.meter_with_scope(scope)
    }
}
