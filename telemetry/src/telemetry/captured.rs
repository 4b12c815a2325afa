//! Telemetry whose spans stay in the process.

use super::{Config, Mutex, Notify, Shared, SpanBuffer, Telemetry};
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

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
            logs: None,
            propagator: config.propagator,
            sampler: config.sampler.sampler,
            schedule_delay: config.schedule_delay,
            background: Mutex::default(),
            sweep: Mutex::default(),
            stop: Notify::new(),
            told_dropped: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}
