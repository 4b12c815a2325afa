//! Where a record's trace comes from.

use crate::event::{Record, TraceCarrier};
use baton_telemetry::{InvalidTraceparent, Propagator, parse_trace_context, with_baggage};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Carrier {
    MessageAttributes,
}
impl Carrier {
    pub(crate) fn as_str(self) -> &'static str {
        "message attributes"
    }
}
#[derive(Debug)]
pub(crate) struct Origins {
    pub(crate) propagator: Propagator,
}
impl Origins {
    pub(crate) fn of(telemetry: &baton_telemetry::Telemetry) -> Self {
        Self {
            propagator: telemetry.propagator(),
        }
    }
}

/// What the sender of a message said about its trace.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    /// The producer's span; `None` when there is none, and the record starts a trace of its own.
    pub(crate) producer: Option<SpanContext>,
    /// The span that `AWSTraceHeader` names, when it is not the parent.
    pub(crate) xray: Option<SpanContext>,
    pub(crate) carrier: Option<Carrier>,
    /// Why a `traceparent` that was there did not count.
    pub(crate) invalid: Option<InvalidTraceparent>,
    baggage: Option<Box<str>>,
}

impl Origin {
    pub(crate) fn of(record: &Record<'_>, origins: &Origins) -> Self {
        let propagator = origins.propagator;
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
            carrier: producer.is_some().then_some(Carrier::MessageAttributes),
            xray: None,
            producer,
            invalid,
            baggage: baggage
                .filter(|_| propagator.baggage)
                .map(|baggage| baggage.into()),
        }
    }

    /// The context that the record's span is started in. It begins empty: a record without a context must not become a child of whatever
    /// is active around it.
    pub(crate) fn parent(&self, root: &Context) -> Context {
        match &self.producer {
            Some(producer) => self.with_baggage(&root.with_remote_span_context(producer.clone())),
            None => self.with_baggage(root),
        }
    }

    pub(crate) fn with_baggage(&self, context: &Context) -> Context {
        match &self.baggage {
            Some(baggage) => with_baggage(context, baggage),
            None => context.clone(),
        }
    }
}
