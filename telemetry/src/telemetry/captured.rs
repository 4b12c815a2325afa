//! Telemetry for tests, which exports nothing.

use std::sync::Arc;

use opentelemetry::metrics::MeterProvider;
use opentelemetry::metrics::noop::NoopMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;

use super::{AnyMeterProvider, Config, LossReporter, Mutex, Shared, SpanBuffer, Telemetry};
use crate::output::Output;

impl Telemetry {
    /// Creates telemetry for tests, with a tracer provider that captures the spans. Nothing is
    /// exported, no global is set, and the environment is ignored.
    #[must_use]
    pub fn captured(provider: SdkTracerProvider) -> Self {
        Self::captured_with_meters(provider, NoopMeterProvider::new())
    }

    /// Creates telemetry for tests, with a tracer provider and a meter provider that capture spans
    /// and metrics.
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
            meters: AnyMeterProvider::new(meters),
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
