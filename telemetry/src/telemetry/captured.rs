//! Telemetry whose spans stay in the process.

use super::{Accounting, Config, Mutex, Notify, Shared, SpanBuffer, Telemetry};
use crate::output::Output;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::sync::Arc;

impl Telemetry {
    /// Telemetry around a tracer provider that keeps the spans itself, for tests: nothing is exported, no global is set, and all options
    /// have their defaults, whatever the environment says.
    #[must_use]
    pub fn captured(provider: SdkTracerProvider) -> Self {
        let (config, _) = Config::from_lookup(&|_| None);
        let shared = Shared {
            provider,
            buffer: SpanBuffer::new(config.bounds),
            exporter: None,
            metrics: None,
            logs: None,
            propagator: config.propagator,
            sampler: config.sampler.sampler,
            schedule_delay: config.schedule_delay,
            metric_interval: config.metric_interval,
            background: Mutex::default(),
            sweep: Mutex::default(),
            stop: Notify::new(),
            accounting: Accounting::new(String::new(), Output::default()),
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}
