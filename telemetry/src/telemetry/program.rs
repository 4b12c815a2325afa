//! Parts of the telemetry that the program provides.
//!
//! The rest of the crate sees them as a [`ProgramParts`]. A program that provides none therefore
//! does not contain their code.

use std::mem;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{ShouldSample, TracerProviderBuilder};
use tracing::error;

use crate::config::{ExporterConfig, SamplerChoice, TelemetryConfig};
use crate::export::collector::Destination;
use crate::export::{InvalidExporter, SdkExporter};
use crate::propagation::{AdditionalPropagators, BoxedPropagator};
use crate::resource;

/// What the program provides in place of, or in addition to, the environment's settings.
pub(super) trait ProgramParts: Send {
    /// Returns the parts, to add one.
    fn collected(&mut self) -> &mut CollectedParts;

    /// Replaces the configured exporters by those of the program.
    fn apply_to(&mut self, config: &mut TelemetryConfig);

    /// Logs the part that was refused, if there is one.
    fn log_invalid(&self);

    /// Merges the program's resource into the detected one.
    fn merge_resource(&self, detected: Resource) -> Resource;

    /// Prepares the parts for use, with the final resource.
    fn prepare(self: Box<Self>, resource: &Resource) -> PreparedParts;
}

/// Parts that are ready for use.
#[derive(Default)]
pub(super) struct PreparedParts {
    pub(super) traces: Option<Destination>,
    pub(super) logs: Option<Destination>,
    pub(super) configure_provider: Vec<ConfigureProvider>,
    pub(super) propagators: Option<AdditionalPropagators>,
    pub(super) invalid: Option<Box<InvalidExporter>>,
}

/// Adds a span processor or an id generator to a provider.
pub(super) type ConfigureProvider =
    Box<dyn FnOnce(TracerProviderBuilder) -> TracerProviderBuilder + Send>;

/// The parts that a builder collects.
#[derive(Default)]
pub(super) struct CollectedParts {
    pub(super) span_exporter: Option<Box<dyn SdkExporter>>,
    pub(super) log_exporter: Option<Box<dyn SdkExporter>>,
    pub(super) sampler: Option<Box<dyn ShouldSample>>,
    pub(super) configure_provider: Vec<ConfigureProvider>,
    pub(super) resource: Option<Resource>,
    /// What detectors have found.
    pub(super) detected_attributes: Vec<KeyValue>,
    pub(super) propagators: Vec<BoxedPropagator>,
    /// The first part that was refused.
    pub(super) invalid: Option<InvalidExporter>,
}

impl CollectedParts {
    /// Keeps the first reason why a part is refused.
    pub(super) fn check(&mut self, outcome: Result<(), InvalidExporter>) {
        if let Err(invalid) = outcome {
            self.invalid.get_or_insert(invalid);
        }
    }

    /// Adds a step to the set-up of the tracer provider.
    pub(super) fn configure(
        &mut self,
        step: impl FnOnce(TracerProviderBuilder) -> TracerProviderBuilder + Send + 'static,
    ) {
        self.configure_provider.push(Box::new(step));
    }

    fn exporters(&mut self) -> [&mut Option<Box<dyn SdkExporter>>; 2] {
        [&mut self.span_exporter, &mut self.log_exporter]
    }
}

impl ProgramParts for CollectedParts {
    fn collected(&mut self) -> &mut CollectedParts {
        self
    }

    /// `OTEL_SDK_DISABLED` also disables the exporters of the program. If a part was refused,
    /// nothing is exported.
    fn apply_to(&mut self, config: &mut TelemetryConfig) {
        if let Some(sampler) = self.sampler.take() {
            config.sampler = SamplerChoice::program(sampler);
        }
        config.detected_attributes = mem::take(&mut self.detected_attributes);
        let is_refused = self.invalid.is_some();

        if is_refused {
            config.metrics = ExporterConfig::None;
        }
        let configured = [&mut config.traces, &mut config.logs];
        for (configured, exporter) in configured.into_iter().zip(self.exporters()) {
            if is_refused {
                *configured = ExporterConfig::None;
            }
            if config.is_disabled || is_refused {
                *exporter = None;
            }
            if let Some(exporter) = exporter {
                *configured = ExporterConfig::Sdk(exporter.name());
            }
        }
    }

    fn log_invalid(&self) {
        if let Some(invalid) = &self.invalid {
            error!("telemetry is not exported: {invalid}");
        }
    }

    fn merge_resource(&self, detected: Resource) -> Resource {
        match &self.resource {
            Some(provided) => resource::merge(&detected, provided),
            None => detected,
        }
    }

    fn prepare(self: Box<Self>, resource: &Resource) -> PreparedParts {
        let parts = *self;
        let destination = |exporter: Option<Box<dyn SdkExporter>>| {
            let mut exporter = exporter?;
            exporter.set_resource(resource);
            Some(Destination::Sdk(exporter))
        };
        PreparedParts {
            traces: destination(parts.span_exporter),
            logs: destination(parts.log_exporter),
            configure_provider: parts.configure_provider,
            propagators: (!parts.propagators.is_empty())
                .then(|| AdditionalPropagators::new(parts.propagators)),
            invalid: parts.invalid.map(Box::new),
        }
    }
}
