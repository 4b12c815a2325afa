//! A tracer of any type.

use std::fmt;
use std::sync::Arc;

use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::Tracer;

/// A tracer whose type is erased, so that types that hold one are not generic. Clones share it.
#[derive(Clone)]
pub(crate) struct SharedTracer(Arc<BoxedTracer>);

impl SharedTracer {
    pub(crate) fn new<T>(tracer: T) -> Self
    where
        T: Tracer + Send + Sync + 'static,
        T::Span: Send + Sync + 'static,
    {
        Self(Arc::new(BoxedTracer::new(Box::new(tracer))))
    }

    pub(crate) fn get(&self) -> &BoxedTracer {
        &self.0
    }
}

/// Tracers have no useful `Debug` output in common.
impl fmt::Debug for SharedTracer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SharedTracer")
    }
}
