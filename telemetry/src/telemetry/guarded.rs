//! Span processors, samplers and id generators that the program provides. Their panics are caught,
//! because they would otherwise fail the whole batch.

use std::any::type_name;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{Link, SpanId, SpanKind, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{
    IdGenerator, RandomIdGenerator, Sampler, SamplingResult, ShouldSample, Span, SpanData,
    SpanProcessor,
};

use crate::panics::PartGuard;

/// A span processor. A call that panics has no effect.
#[derive(Debug)]
pub(super) struct GuardedProcessor<P> {
    processor: P,
    guard: PartGuard,
}

impl<P: SpanProcessor> GuardedProcessor<P> {
    pub(super) fn new(processor: P) -> Self {
        let effect = "the call has no effect";
        Self {
            processor,
            guard: PartGuard::new("span processor", type_name::<P>(), effect),
        }
    }

    fn call(&self, call: impl FnOnce() -> OTelSdkResult) -> OTelSdkResult {
        let panicked = || OTelSdkError::InternalFailure("the span processor panicked".to_owned());
        self.guard.call(call).unwrap_or_else(|| Err(panicked()))
    }
}

impl<P: SpanProcessor> SpanProcessor for GuardedProcessor<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.guard.call(|| self.processor.on_start(span, context));
    }

    fn on_end(&self, span: SpanData) {
        self.guard.call(|| self.processor.on_end(span));
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.call(|| self.processor.force_flush())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.call(|| self.processor.shutdown_with_timeout(timeout))
    }

    fn set_resource(&mut self, resource: &Resource) {
        let Self { processor, guard } = self;
        guard.call(|| processor.set_resource(resource));
    }
}

/// A sampler. If it panics, the default sampler decides.
#[derive(Debug, Clone)]
pub(super) struct GuardedSampler {
    sampler: Box<dyn ShouldSample>,
    guard: Arc<PartGuard>,
}

impl GuardedSampler {
    pub(super) fn new<S: Into<Box<dyn ShouldSample>>>(sampler: S) -> Self {
        let effect = "the default sampler decides: parentbased_always_on";
        Self {
            sampler: sampler.into(),
            guard: Arc::new(PartGuard::new("sampler", type_name::<S>(), effect)),
        }
    }
}

impl ShouldSample for GuardedSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let decide = |sampler: &dyn ShouldSample| {
            sampler.should_sample(parent, trace_id, name, kind, attributes, links)
        };
        let decided = self.guard.call(|| decide(&*self.sampler));
        let default = || decide(&Sampler::ParentBased(Box::new(Sampler::AlwaysOn)));
        decided.unwrap_or_else(default)
    }
}

/// An id generator. If it panics, the id is random.
#[derive(Debug)]
pub(super) struct GuardedIdGenerator<G> {
    generator: G,
    guard: PartGuard,
}

impl<G: IdGenerator> GuardedIdGenerator<G> {
    pub(super) fn new(generator: G) -> Self {
        Self {
            generator,
            guard: PartGuard::new("id generator", type_name::<G>(), "the id is random"),
        }
    }
}

impl<G: IdGenerator> IdGenerator for GuardedIdGenerator<G> {
    fn new_trace_id(&self) -> TraceId {
        let generated = self.guard.call(|| self.generator.new_trace_id());
        generated.unwrap_or_else(|| RandomIdGenerator::default().new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        let generated = self.guard.call(|| self.generator.new_span_id());
        generated.unwrap_or_else(|| RandomIdGenerator::default().new_span_id())
    }
}
