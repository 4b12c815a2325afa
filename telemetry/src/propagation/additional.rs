//! Propagators that the program provides in addition to [`Propagator`].

use std::any::type_name;
use std::fmt;
use std::sync::Arc;

use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, global};

use super::Propagator;
use crate::panics::PartGuard;

/// Propagator that the program provides. Panics are caught: then it finds no context and writes
/// nothing.
#[derive(Debug)]
pub struct BoxedPropagator {
    propagator: Box<dyn TextMapPropagator + Send + Sync>,
    guard: PartGuard,
}

impl BoxedPropagator {
    /// Boxes a propagator.
    #[must_use]
    pub fn new<P: TextMapPropagator + Send + Sync + 'static>(propagator: P) -> Self {
        let effect = "it finds no context and writes nothing";
        Self {
            propagator: Box::new(propagator),
            guard: PartGuard::new("propagator", type_name::<P>(), effect),
        }
    }

    fn extract(&self, context: &Context, extractor: &dyn Extractor) -> Option<Context> {
        let extract = || self.propagator.extract_with_context(context, extractor);
        self.guard.call(extract)
    }

    fn inject(&self, context: &Context, injector: &mut dyn Injector) {
        let inject = || self.propagator.inject_context(context, injector);
        self.guard.call(inject);
    }

    fn fields(&self) -> Vec<String> {
        let fields = || self.propagator.fields().map(str::to_owned).collect();
        self.guard.call(fields).unwrap_or_default()
    }
}

/// Propagators that the program provides. They are used in order where [`Propagator`] finds no
/// trace context. Clones share them.
///
/// Returned by [`Telemetry::additional_propagators`](crate::Telemetry::additional_propagators).
#[derive(Clone)]
pub struct AdditionalPropagators(Arc<dyn PropagatorList>);

impl fmt::Debug for AdditionalPropagators {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AdditionalPropagators")
            .finish_non_exhaustive()
    }
}

impl AdditionalPropagators {
    /// Creates a list of propagators.
    /// [`TelemetryBuilder::propagator`](crate::TelemetryBuilder::propagator) adds to the list of
    /// the process.
    #[must_use]
    pub fn new(propagators: Vec<BoxedPropagator>) -> Self {
        Self(Arc::new(Propagators(propagators)))
    }

    /// Extracts a context with the first propagator that finds a remote span. Returns `None` if
    /// none does.
    #[must_use]
    pub fn extract(&self, context: &Context, extractor: &dyn Extractor) -> Option<Context> {
        self.0.extract(context, extractor)
    }

    /// Sets the global propagator: `first`, then these.
    pub(crate) fn set_global(&self, first: Propagator) {
        Arc::clone(&self.0).set_global(first);
    }
}

/// A list of propagators. It is a trait, so that a program that provides none does not contain the
/// code of the list.
trait PropagatorList: Send + Sync {
    fn extract(&self, context: &Context, extractor: &dyn Extractor) -> Option<Context>;
    fn set_global(self: Arc<Self>, first: Propagator);
}

struct Propagators(Vec<BoxedPropagator>);

impl PropagatorList for Propagators {
    fn extract(&self, context: &Context, extractor: &dyn Extractor) -> Option<Context> {
        let extracted = self.0.iter();
        let extracted = extracted.filter_map(|propagator| propagator.extract(context, extractor));
        let before = context.span().span_context().clone();
        let mut found = extracted.filter(|extracted| {
            let span = extracted.span();
            let span = span.span_context();
            span.is_valid() && span.is_remote() && *span != before
        });
        found.next()
    }

    fn set_global(self: Arc<Self>, first: Propagator) {
        let fields = first.fields().map(str::to_owned);
        let additional = self.0.iter().flat_map(BoxedPropagator::fields);
        let fields = fields.chain(additional).collect();
        global::set_text_map_propagator(PropagatorChain {
            first,
            additional: self,
            fields,
        });
    }
}

/// The global propagator of the process.
struct PropagatorChain {
    first: Propagator,
    additional: Arc<Propagators>,
    fields: Vec<String>,
}

impl fmt::Debug for PropagatorChain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PropagatorChain")
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

impl TextMapPropagator for PropagatorChain {
    /// Injects the context with all propagators.
    fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
        self.first.inject_context(context, injector);
        for propagator in &self.additional.0 {
            propagator.inject(context, injector);
        }
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        let extracted = self.first.extract_with_context(context, extractor);
        if self.first.remote_parent(extractor).is_some() {
            return extracted;
        }
        let additional = self.additional.extract(&extracted, extractor);
        additional.unwrap_or(extracted)
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.fields)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

    use super::*;

    const FIELD: &str = "trace";

    /// A format that is only a trace id in hexadecimal.
    #[derive(Debug)]
    struct TraceIdOnly([String; 1]);

    impl TextMapPropagator for TraceIdOnly {
        fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
            let trace_id = context.span().span_context().trace_id();
            injector.set(FIELD, trace_id.to_string());
        }

        fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
            match extractor.get(FIELD).map(TraceId::from_hex) {
                Some(Ok(trace_id)) => context.with_remote_span_context(span(trace_id, true)),
                _ => context.clone(),
            }
        }

        fn fields(&self) -> FieldIter<'_> {
            FieldIter::new(&self.0)
        }
    }

    #[derive(Debug)]
    struct Panics;

    impl TextMapPropagator for Panics {
        fn inject_context(&self, _: &Context, _: &mut dyn Injector) {
            panic!("inject")
        }

        fn extract_with_context(&self, _: &Context, _: &dyn Extractor) -> Context {
            panic!("extract")
        }

        fn fields(&self) -> FieldIter<'_> {
            panic!("fields")
        }
    }

    fn span(trace_id: TraceId, is_remote: bool) -> SpanContext {
        let (span_id, flags) = (SpanId::from(1), TraceFlags::SAMPLED);
        SpanContext::new(trace_id, span_id, flags, is_remote, TraceState::NONE)
    }

    fn chain() -> PropagatorChain {
        let additional = BoxedPropagator::new(TraceIdOnly([FIELD.to_owned()]));
        PropagatorChain {
            first: Propagator::default(),
            // The first one panics.
            additional: Arc::new(Propagators(vec![BoxedPropagator::new(Panics), additional])),
            fields: Vec::new(),
        }
    }

    fn extracted(headers: &[(&str, &str)]) -> TraceId {
        let headers = headers.iter().copied();
        let headers: HashMap<String, String> = headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        // A local span that is active must not be taken for an extracted one.
        let active = Context::new().with_remote_span_context(span(TraceId::from(5), false));
        let context = chain().extract_with_context(&active, &headers);
        context.span().span_context().trace_id()
    }

    #[test]
    fn additional_propagators_are_used_where_the_first_finds_nothing() {
        let traceparent = "00-00000000000000000000000000000001-0000000000000002-01";
        let other = "00000000000000000000000000000003";
        let invalid = "00-0-0-01";
        for (headers, expected) in [
            (&[("traceparent", traceparent), (FIELD, other)][..], 1),
            (&[("traceparent", invalid), (FIELD, other)], 3),
            (&[(FIELD, other)], 3),
            (&[(FIELD, "x")], 5),
            (&[], 5),
        ] {
            assert_eq!(extracted(headers), TraceId::from(expected), "{headers:?}");
        }
    }

    #[test]
    fn all_propagators_write() {
        let mut headers = HashMap::new();
        let context = Context::new().with_remote_span_context(span(TraceId::from(5), false));
        chain().inject_context(&context, &mut headers);
        let mut names: Vec<&str> = headers.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["trace", "traceparent"]);
    }
}
