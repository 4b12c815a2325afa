//! A tracer of any type.

use std::any::Any;
use std::sync::Arc;
use std::{fmt, mem};

use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::Tracer;
use opentelemetry::trace::noop::NoopTracer;

/// A tracer whose type is erased, so that types that hold one are not generic. Clones share it.
#[derive(Clone)]
pub(crate) struct SharedTracer(Arc<BoxedTracer>);

impl SharedTracer {
    pub(crate) fn new<T>(tracer: T) -> Self
    where
        T: Tracer + Send + Sync + 'static,
        T::Span: Send + Sync + 'static,
    {
        Self(Arc::new(into_boxed(tracer)))
    }

    pub(crate) fn get(&self) -> &BoxedTracer {
        &self.0
    }
}

/// A tracer that is boxed already is not boxed again. Otherwise each of its spans would be in two
/// boxes, one inside the other.
fn into_boxed<T>(tracer: T) -> BoxedTracer
where
    T: Tracer + Send + Sync + 'static,
    T::Span: Send + Sync + 'static,
{
    let mut tracer = Box::new(tracer);
    let any: &mut dyn Any = &mut *tracer;
    if let Some(boxed) = any.downcast_mut::<BoxedTracer>() {
        return mem::replace(boxed, BoxedTracer::new(Box::new(NoopTracer::new())));
    }
    BoxedTracer::new(tracer)
}

/// Tracers have no useful `Debug` output in common.
impl fmt::Debug for SharedTracer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SharedTracer")
    }
}
