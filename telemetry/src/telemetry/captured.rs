//! Telemetry whose spans stay in the process.

use std::sync::Arc;

use opentelemetry::metrics::MeterProvider;
use opentelemetry::metrics::noop::NoopMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;

use super::{AnyMeters, Config, LossReporter, Mutex, Shared, SpanBuffer, Telemetry};
use crate::output::Output;

impl Telemetry {
    /// Telemetry around a tracer provider that keeps the spans itself, for tests: nothing is
    /// exported, no global is set, and all options have their defaults, whatever the environment
    /// says.
    #[must_use]
    pub fn captured(provider: SdkTracerProvider) -> Self {
        Self::captured_with_meters(provider, NoopMeterProvider::new())
    }

    /// The same with a meter provider that keeps the metrics itself.
    #[must_use]
    pub fn captured_with_meters(
        provider: SdkTracerProvider,
        meters: impl MeterProvider + Send + Sync + 'static,
    ) -> Self {
        let (config, _) = Config::from_lookup(&|_| None);
        let shared = Shared {
            provider,
            buffer: SpanBuffer::new(config.bounds),
            exporter: None,
            meters: AnyMeters::from_provider(meters),
            metrics: None,
            logs: None,
            propagator: config.propagator,
            sampler: config.sampler.sampler,
            schedule_delay: config.schedule_delay,
            metric_interval: config.metric_interval,
            background: Mutex::default(),
            ungrouped_flush: Mutex::default(),
            loss_reporter: LossReporter::new(String::new(), Output::default()),
            #[cfg(feature = "tracing")]
            filter_check: super::FilterCheck::new(super::SubscriberWarnings::new(
                config.log_format,
                Output::default(),
            )),
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}
