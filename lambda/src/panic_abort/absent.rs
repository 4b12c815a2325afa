//! Empty replacement for the panic hook when the feature `panic-abort` is off.

use std::sync::Arc;

use baton_telemetry::Telemetry;
use opentelemetry::Context;

use crate::config::ConsumerConfig;

pub(crate) fn is_restarted() -> bool {
    false
}

#[derive(Debug, Clone, Default)]
pub(crate) struct PanicHook(());

#[derive(Debug)]
pub(crate) struct BatchGuard;

impl PanicHook {
    pub(crate) fn install(_: &ConsumerConfig, _: &Telemetry) -> Self {
        Self(())
    }

    pub(crate) fn is_suspect(&self, _: Option<&str>) -> bool {
        false
    }

    pub(crate) fn register_batch(
        &self,
        _: &str,
        _: &Context,
        _: &[Option<Arc<str>>],
    ) -> BatchGuard {
        BatchGuard
    }
}

impl BatchGuard {
    pub(crate) fn start_record(&self, _: usize, _: &Context) {}

    pub(crate) fn end_record(&self, _: usize, _: bool) {}
}
