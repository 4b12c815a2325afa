//! Parts of the telemetry that the program provides.
//!
//! The rest of the crate sees them as a [`ProgramParts`]. A program that provides none therefore
//! does not contain their code.

use std::any::type_name;
use std::{fmt, mem};

use opentelemetry::{KeyValue, global};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{ShouldSample, TracerProviderBuilder};
use tracing::error;

use super::logs::LogExport;
use super::meters::AnyMeterProvider;
use crate::buffer::Buffer;
use crate::config::{ExporterConfig, SamplerChoice, TelemetryConfig};
use crate::export::collector::Destination;
use crate::export::sdk_exporter::SdkPipeline;
use crate::export::{Exporter, InvalidExporter, SdkExporter};
use crate::metrics::SdkMetrics;
use crate::otlp::Signal;
use crate::output::Output;
use crate::propagation::{AdditionalPropagators, BoxedPropagator, Propagator};
use crate::resource;

/// Parts in place of, or in addition to, the environment's settings.
pub(super) trait ProgramParts: Send + Sync {
    /// Returns the parts, to add one.
    fn collected(&mut self) -> &mut CollectedParts;

    /// Replaces the configured exporters and the sampler with those that the program provides.
    fn apply_to(&mut self, config: &mut TelemetryConfig);

    /// Returns the reason why a part is invalid, if one is.
    fn invalid(&self) -> Option<&InvalidExporter>;

    /// Logs the reason why a part is invalid, if one is.
    fn log_invalid(&self);

    /// Adds the attributes that resource detectors of the program have found.
    fn add_detected(&self, attributes: &mut Vec<KeyValue>);

    /// Merges the resource that the program provides into the detected one.
    fn merge_resource(&self, detected: Resource) -> Resource;

    /// Adds the exporters that the program provides, and passes them the resource.
    fn install_exporters(
        &mut self,
        exporters: &mut Exporters,
        config: &TelemetryConfig,
        resource: &Resource,
        log_buffer: Option<Buffer>,
        output: &Output,
    );

    /// Adds the span processors and the id generator that the program provides.
    fn configure(&mut self, provider: TracerProviderBuilder) -> TracerProviderBuilder;

    /// Returns the propagators that the program provides, if there are any.
    fn propagators(&self) -> Option<&AdditionalPropagators>;

    /// Sets the global propagator: `first`, then those that the program provides.
    fn set_global_propagator(&self, first: Propagator);
}

impl fmt::Debug for dyn ProgramParts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ProgramParts")
    }
}

/// The exporters and the meters of a pipeline.
pub(super) struct Exporters {
    pub(super) exporter: Option<Exporter>,
    pub(super) logs: Option<LogExport>,
    pub(super) meters: AnyMeterProvider,
    pub(super) sdk_pipeline: Option<Box<dyn SdkPipeline>>,
}

/// The SDK's meters and the export of their metrics.
type SdkMeters = (AnyMeterProvider, Box<dyn SdkPipeline>);

/// The parts that a builder collects.
#[derive(Default)]
pub(super) struct CollectedParts {
    pub(super) span_exporter: Option<Box<dyn SdkExporter>>,
    pub(super) log_exporter: Option<Box<dyn SdkExporter>>,
    pub(super) metric_exporter: Option<MetricExporter>,
    pub(super) sampler: Option<Box<dyn ShouldSample>>,
    configure: Vec<ConfigureProvider>,
    pub(super) resource: Option<Resource>,
    /// Attributes that detectors have found.
    pub(super) detected_attributes: Vec<KeyValue>,
    pub(super) propagators: Vec<BoxedPropagator>,
    /// The propagators, once [`apply_to`](ProgramParts::apply_to) was called.
    additional: Option<AdditionalPropagators>,
    /// Reason why a part is invalid. The first one, if there are several.
    pub(super) invalid: Option<InvalidExporter>,
}

/// A step of the set-up of the tracer provider.
type ConfigureProvider =
    Box<dyn FnOnce(TracerProviderBuilder) -> TracerProviderBuilder + Send + Sync>;

/// A metric exporter that waits for the resource.
pub(super) struct MetricExporter {
    name: &'static str,
    prepare: Box<dyn FnOnce(&Resource) -> SdkMeters + Send + Sync>,
}

impl MetricExporter {
    pub(super) fn new<E: PushMetricExporter>(exporter: E) -> Self {
        Self {
            name: type_name::<E>(),
            prepare: Box::new(|resource| {
                let metrics = SdkMetrics::new(exporter, resource);
                let meters = AnyMeterProvider::new(metrics.provider().clone());
                (meters, Box::new(metrics))
            }),
        }
    }
}

impl CollectedParts {
    /// Keeps the first reason why a part is invalid.
    pub(super) fn check(&mut self, outcome: Result<(), InvalidExporter>) {
        if let Err(invalid) = outcome {
            self.invalid.get_or_insert(invalid);
        }
    }

    /// Adds a step to the set-up of the tracer provider.
    pub(super) fn add_step(
        &mut self,
        step: impl FnOnce(TracerProviderBuilder) -> TracerProviderBuilder + Send + Sync + 'static,
    ) {
        self.configure.push(Box::new(step));
    }
}

impl ProgramParts for CollectedParts {
    fn collected(&mut self) -> &mut CollectedParts {
        self
    }

    /// `OTEL_SDK_DISABLED` also disables the exporters that the program provides. If a part is
    /// invalid, nothing is exported.
    fn apply_to(&mut self, config: &mut TelemetryConfig) {
        if let Some(sampler) = self.sampler.take() {
            config.sampler = SamplerChoice::program(sampler);
        }
        let propagators = mem::take(&mut self.propagators);
        self.additional =
            (!propagators.is_empty()).then(|| AdditionalPropagators::new(propagators));
        let is_invalid = self.invalid.is_some();
        if config.is_disabled || is_invalid {
            self.span_exporter = None;
            self.metric_exporter = None;
            self.log_exporter = None;
        }
        let span_exporter = self.span_exporter.as_ref();
        let log_exporter = self.log_exporter.as_ref();
        let exporters = [
            (
                &mut config.traces,
                span_exporter.map(|traces| traces.name()),
            ),
            (
                &mut config.metrics,
                self.metric_exporter.as_ref().map(|metrics| metrics.name),
            ),
            (&mut config.logs, log_exporter.map(|logs| logs.name())),
        ];
        for (configured, exporter) in exporters {
            if is_invalid {
                *configured = ExporterConfig::None;
            }
            if let Some(exporter) = exporter {
                *configured = ExporterConfig::Sdk(exporter);
            }
        }
    }

    fn invalid(&self) -> Option<&InvalidExporter> {
        self.invalid.as_ref()
    }

    fn log_invalid(&self) {
        if let Some(invalid) = &self.invalid {
            error!("telemetry is not exported: {invalid}");
        }
    }

    fn add_detected(&self, attributes: &mut Vec<KeyValue>) {
        attributes.extend(self.detected_attributes.iter().cloned());
    }

    fn merge_resource(&self, detected: Resource) -> Resource {
        match &self.resource {
            Some(provided) => resource::merge(&detected, provided),
            None => detected,
        }
    }

    fn install_exporters(
        &mut self,
        exporters: &mut Exporters,
        config: &TelemetryConfig,
        resource: &Resource,
        log_buffer: Option<Buffer>,
        output: &Output,
    ) {
        let destination = |exporter: Option<Box<dyn SdkExporter>>| {
            let mut exporter = exporter?;
            exporter.set_resource(resource);
            Some(Destination::Sdk(exporter))
        };
        if let Some(traces) = destination(self.span_exporter.take()) {
            let spill = super::spill(config, output);
            exporters.exporter = Some(Exporter::new(Signal::Traces, traces, resource, spill));
        }
        if let Some((buffer, logs)) = log_buffer.zip(destination(self.log_exporter.take())) {
            exporters.logs = Some(LogExport::new(buffer, logs, resource));
        }
        if let Some(exporter) = self.metric_exporter.take() {
            let (meters, pipeline) = (exporter.prepare)(resource);
            exporters.meters = meters;
            exporters.sdk_pipeline = Some(pipeline);
        }
    }

    fn configure(&mut self, provider: TracerProviderBuilder) -> TracerProviderBuilder {
        let mut steps = self.configure.drain(..);
        steps
            .by_ref()
            .fold(provider, |provider, step| step(provider))
    }

    fn propagators(&self) -> Option<&AdditionalPropagators> {
        self.additional.as_ref()
    }

    fn set_global_propagator(&self, first: Propagator) {
        match &self.additional {
            Some(propagators) => propagators.set_global(first),
            None => global::set_text_map_propagator(first),
        }
    }
}
