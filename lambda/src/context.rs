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
    baggage: Option<Box<str>>,
}

impl Origin {
    pub(crate) fn of(record: &Record<'_>, propagator: Propagator) -> Self {
        let TraceCarrier {
            traceparent,
            tracestate,
            baggage,
        } = record.trace_carrier();
        let parsed = traceparent
            .filter(|_| propagator.trace_context)
            .map(|traceparent| parse_trace_context(&traceparent, tracestate.as_deref()))
            .transpose();
        let (producer, invalid) = match parsed {
            Ok(producer) => (producer, None),
            Err(invalid) => (None, Some(invalid)),
        };
        Self {
            producer,
            invalid,
            baggage: baggage
                .filter(|_| propagator.baggage)
                .map(|baggage| baggage.into()),
        }
    }

    /// The context that the record's span is started in. It begins empty: a record without a context must not become a child of whatever
    /// is active around it.
    pub(crate) fn parent(&self) -> Context {
        let context = match &self.producer {
            Some(producer) => Context::new().with_remote_span_context(producer.clone()),
            None => Context::new(),
        };
        match &self.baggage {
            Some(baggage) => with_baggage(&context, baggage),
            None => context,
        }
    }
}
