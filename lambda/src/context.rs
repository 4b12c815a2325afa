//! Where a record's trace comes from.

use crate::event::{Record, TraceCarrier};
use baton_telemetry::{InvalidTraceparent, Propagator, parse_trace_context, with_baggage};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};

/// What the sender of a message said about its trace.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    /// The producer's span; `None` when there is none, and the record starts a trace of its own.
    pub(crate) producer: Option<SpanContext>,
    /// Why a `traceparent` that was there did not count.
    pub(crate) invalid: Option<InvalidTraceparent>,
}

impl Origin {
    pub(crate) fn of(record: &Record<'_>, propagator: Propagator) -> Self {
        if !propagator.trace_context {
            return Self::default();
        }
        let TraceCarrier {
            traceparent,
            tracestate,
            ..
        } = record.trace_carrier();
        match traceparent
            .map(|traceparent| parse_trace_context(&traceparent, tracestate.as_deref()))
        {
            None => Self::default(),
            Some(Ok(producer)) => Self {
                producer: Some(producer),
                invalid: None,
            },
            Some(Err(invalid)) => Self {
                producer: None,
                invalid: Some(invalid),
            },
        }
    }

    /// The context that the record's span is started in. It begins empty: a record without a context must not become a child of whatever
    /// is active around it.
    pub(crate) fn parent(&self, record: &Record<'_>, propagator: Propagator) -> Context {
        let context = match &self.producer {
            Some(producer) => Context::new().with_remote_span_context(producer.clone()),
            None => Context::new(),
        };
        match record.trace_carrier().baggage {
            Some(baggage) if propagator.baggage => with_baggage(&context, &baggage),
            _ => context,
        }
    }
}
