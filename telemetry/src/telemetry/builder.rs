//! Options of telemetry that the environment does not have.

use std::fmt;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::LogExporter;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::resource::ResourceDetector;
use opentelemetry_sdk::trace::{IdGenerator, ShouldSample, SpanExporter, SpanProcessor};

use super::Telemetry;
use super::guarded::{GuardedIdGenerator, GuardedProcessor, GuardedSampler};
use super::program::{CollectedParts, MetricExporter, ProgramParts};
use crate::export::InvalidExporter;
use crate::export::headers::OpenHeaderSource;
use crate::export::sdk_exporter::{
    check_debug_form, check_metric_exporter, check_processor, log_exporter, span_exporter,
};
use crate::propagation::BoxedPropagator;
use crate::resource::{ServiceInfo, provided_attributes};

/// Builder for [`Telemetry`].
///
/// Its options take precedence over the environment, which takes precedence over the defaults.
///
/// ```no_run
/// use baton_telemetry::{HeaderSource, ServiceInfo, Telemetry};
///
/// # async fn run(open: baton_telemetry::OpenHeaderSource) {
/// let service = ServiceInfo { name: "orders", version: None };
/// let telemetry = Telemetry::builder(service).header_source(open).init().await;
/// # }
/// ```
#[must_use]
pub struct TelemetryBuilder {
    pub(super) service: ServiceInfo,
    pub(super) open_header_source: Option<OpenHeaderSource>,
    /// `None` unless the program provides parts.
    pub(super) parts: Option<Box<dyn ProgramParts>>,
}

impl TelemetryBuilder {
    pub(super) fn new(service: ServiceInfo) -> Self {
        Self {
            service,
            open_header_source: None,
            parts: None,
        }
    }

    /// Sets the function that opens the source of headers that `OTEL_EXPORTER_OTLP_HEADERS_SECRET`
    /// refers to. Without it, the variable is ignored with a warning.
    ///
    /// `baton_secrets::open` reads from AWS Secrets Manager and the SSM Parameter Store.
    pub fn header_source(mut self, open: OpenHeaderSource) -> Self {
        self.open_header_source = Some(open);
        self
    }

    /// Sets the exporter of spans, in place of `OTEL_TRACES_EXPORTER` and
    /// `OTEL_EXPORTER_OTLP_*`: `opentelemetry_otlp::SpanExporter` or any other.
    ///
    /// A flush awaits its `export` on the flushing task until the deadline, with telemetry
    /// suppressed. The buffer, the circuit breaker, the spill and the counts work as for a
    /// collector. Spans whose export fails or times out are spilled, so that a collector may get
    /// them twice. Concurrent flushes call `export` one after the other. An exporter that retries
    /// should do so only briefly, because the flush waits for it. [`Telemetry::shutdown`] shuts the
    /// exporter down.
    ///
    /// The exporter must be asynchronous. An exporter of `opentelemetry-otlp` with a blocking HTTP
    /// client, the default of that crate, is [invalid](InvalidExporter).
    ///
    /// ```
    /// use baton_telemetry::opentelemetry_sdk::error::OTelSdkResult;
    /// use baton_telemetry::opentelemetry_sdk::trace::{SpanData, SpanExporter};
    /// use baton_telemetry::{ServiceInfo, Telemetry};
    ///
    /// #[derive(Debug)]
    /// struct Discard;
    ///
    /// impl SpanExporter for Discard {
    ///     async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let service = ServiceInfo { name: "orders", version: None };
    /// let builder = Telemetry::builder(service).span_exporter(Discard);
    /// ```
    pub fn span_exporter<E: SpanExporter + 'static>(mut self, exporter: E) -> Self {
        let parts = self.parts();
        parts.check(check_debug_form(&exporter));
        parts.span_exporter = Some(span_exporter(exporter));
        self
    }

    /// Sets the exporter of log records, in place of `OTEL_LOGS_EXPORTER` and
    /// `OTEL_EXPORTER_OTLP_*`. It works like a [`span_exporter`](Self::span_exporter), except that
    /// log records are never spilled, because every line is on stdout anyway.
    ///
    /// [`log_layer`](crate::log_layer) creates the records. Their count of dropped attributes is
    /// missing, because the SDK's record has no field for it.
    pub fn log_exporter<E: LogExporter + 'static>(mut self, exporter: E) -> Self {
        let parts = self.parts();
        parts.check(check_debug_form(&exporter));
        parts.log_exporter = Some(log_exporter(exporter));
        self
    }

    /// Sets the exporter of metrics, in place of `OTEL_METRICS_EXPORTER` and
    /// `OTEL_EXPORTER_OTLP_*`.
    ///
    /// The SDK then aggregates the metrics instead of this crate, which makes the program larger
    /// and each measurement slower. A flush collects them and awaits the exporter as it does for
    /// spans. A collection that the exporter does not accept is exported by the next flush, before
    /// a newer one. Concurrent flushes export one after the other. A panic in the callback of an
    /// observable instrument is caught, and the first one is logged as an error.
    ///
    /// The exporter decides the temporality. On Lambda it should be
    /// [`Delta`](opentelemetry_sdk::metrics::Temporality::Delta), because the cumulative values of
    /// short-lived processes do not add up. The exporter of `opentelemetry-otlp` is cumulative by
    /// default.
    pub fn metric_exporter<E: PushMetricExporter>(mut self, exporter: E) -> Self {
        let parts = self.parts();
        parts.check(check_metric_exporter::<E>());
        parts.metric_exporter = Some(MetricExporter::new(exporter));
        self
    }

    /// Sets the sampler, in place of `OTEL_TRACES_SAMPLER`. It also decides in
    /// [`Telemetry::samples_root`].
    ///
    /// If it panics, `parentbased_always_on` decides, and the first panic is logged as an error.
    pub fn sampler(mut self, sampler: impl Into<Box<dyn ShouldSample>>) -> Self {
        self.parts().sampler = Some(Box::new(GuardedSampler::new(sampler)));
        self
    }

    /// Adds a span processor, for example one that adds attributes when a span starts. Processors
    /// are called in the order in which they are added, before the buffer of spans.
    ///
    /// Flushes do not call `force_flush`, because it has no deadline, and [`Telemetry::shutdown`]
    /// does not call `shutdown`. The SDK's processors that export by themselves are
    /// [invalid](InvalidExporter).
    ///
    /// A call that panics has no effect. The first panic of a processor is logged as an error.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use baton_telemetry::opentelemetry::trace::Span as _;
    /// use baton_telemetry::opentelemetry::{Context, KeyValue};
    /// use baton_telemetry::opentelemetry_sdk::error::OTelSdkResult;
    /// use baton_telemetry::opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
    /// use baton_telemetry::{ServiceInfo, Telemetry};
    ///
    /// #[derive(Debug)]
    /// struct Team;
    ///
    /// impl SpanProcessor for Team {
    ///     fn on_start(&self, span: &mut Span, _: &Context) {
    ///         span.set_attribute(KeyValue::new("team", "orders"));
    ///     }
    ///     fn on_end(&self, _: SpanData) {}
    ///     fn force_flush(&self) -> OTelSdkResult {
    ///         Ok(())
    ///     }
    ///     fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let service = ServiceInfo { name: "orders", version: None };
    /// let builder = Telemetry::builder(service).span_processor(Team);
    /// ```
    pub fn span_processor<P: SpanProcessor + 'static>(mut self, processor: P) -> Self {
        let parts = self.parts();
        parts.check(check_processor::<P>());
        let processor = GuardedProcessor::new(processor);
        parts.add_step(|provider| provider.with_span_processor(processor));
        self
    }

    /// Sets the generator of trace ids and span ids. The default is random, as are the
    /// ids in place of which it panics. The first panic is logged as an error.
    pub fn id_generator<G: IdGenerator + 'static>(mut self, generator: G) -> Self {
        let parts = self.parts();
        let generator = GuardedIdGenerator::new(generator);
        parts.add_step(|provider| provider.with_id_generator(generator));
        self
    }

    /// Adds the attributes of a resource, which take precedence over all other sources. An earlier
    /// resource is replaced.
    ///
    /// `service.name` is ignored if it begins with `unknown_service`, the SDK's default, because it
    /// would replace the name of the function.
    pub fn resource(mut self, resource: Resource) -> Self {
        self.parts().resource = Some(resource);
        self
    }

    /// Runs a resource detector. Its attributes take precedence over those of the platform, but not
    /// over `OTEL_RESOURCE_ATTRIBUTES`.
    ///
    /// The call returns when the detector has finished.
    pub fn resource_detector(mut self, detector: &dyn ResourceDetector) -> Self {
        let detected = detector.detect();
        let attributes = provided_attributes(&detected);
        self.parts().detected_attributes.extend(attributes);
        self
    }

    /// Adds a propagator. It is used where those of `OTEL_PROPAGATORS` and those added before find
    /// no trace context. All propagators write into outgoing requests.
    ///
    /// One that panics finds no context and writes nothing. Its first panic is logged as an error.
    pub fn propagator<P: TextMapPropagator + Send + Sync + 'static>(
        mut self,
        propagator: P,
    ) -> Self {
        let propagator = BoxedPropagator::new(propagator);
        self.parts().propagators.push(propagator);
        self
    }

    /// Initialises telemetry as [`Telemetry::init`] does. Waits up to two seconds for the first
    /// fetch of headers.
    ///
    /// If an exporter or span processor is [invalid](InvalidExporter), an error is logged and
    /// nothing is exported. A consumer of `baton-lambda` does not start with such telemetry. Other
    /// programs should use [`try_init`](Self::try_init).
    pub fn init(self) -> impl Future<Output = Telemetry> + Send {
        Telemetry::set_up(self)
    }

    /// Initialises telemetry as [`init`](Self::init) does, unless an exporter or span processor is
    /// invalid.
    ///
    /// # Errors
    ///
    /// Returns an error if an exporter or span processor would block or panic in a flush. In this
    /// case, nothing has been initialised.
    pub async fn try_init(mut self) -> Result<Telemetry, InvalidExporter> {
        match self.parts().invalid.clone() {
            Some(invalid) => Err(invalid),
            None => Ok(Telemetry::set_up(self).await),
        }
    }

    fn parts(&mut self) -> &mut CollectedParts {
        let parts = self
            .parts
            .get_or_insert_with(|| Box::<CollectedParts>::default());
        parts.collected()
    }
}

impl fmt::Debug for TelemetryBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TelemetryBuilder")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}
