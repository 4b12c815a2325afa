//! Where a record's trace comes from.
//!
//! Carriers are tried in this order, each only if `OTEL_PROPAGATORS` lists its propagator: the
//! message attributes; the message attributes with the prefix `otel.`; an SNS notification in the
//! body, in its message attributes; an EventBridge event in the body (or in the notification), in
//! its own fields and then in `detail`; and with `xray`, the `AWSTraceHeader` that AWS put beside
//! the message. A malformed value counts as absent and is recorded in `baton.context.invalid`.
//!
//! EventBridge has no place for a W3C context. Senders that carry one write `traceparent` into
//! `detail`, as Elastic's agents and the `CloudEvents` extension for tracing do; fields of the
//! event itself can be added by a rule's input transformer only.

use std::borrow::Cow;
use std::fmt;

use baton_telemetry::{
    BAGGAGE, InvalidXrayHeader, Propagator, TRACEPARENT, TRACESTATE, check_baggage,
    parse_trace_context_noting, parse_xray_header, with_baggage, with_remote_parent,
};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceId};

use self::invalid::Reason;
use crate::event::{BridgeEvent, Notification, OTEL_PREFIX, Record, TraceCarrier, Value};

mod invalid;

pub(crate) use invalid::InvalidContext;

/// Where a context was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    MessageAttributes,
    /// Message attributes whose names begin with [`OTEL_PREFIX`].
    PrefixedAttributes,
    Sns,
    EventBridge,
    AwsTraceHeader,
}

impl Carrier {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::MessageAttributes | Self::PrefixedAttributes => "message attributes",
            Self::Sns => "SNS notification",
            Self::EventBridge => "EventBridge event",
            Self::AwsTraceHeader => "AWSTraceHeader",
        }
    }

    /// Prefix of the field names in this carrier.
    fn prefix(self) -> &'static str {
        match self {
            Self::PrefixedAttributes => OTEL_PREFIX,
            Self::MessageAttributes | Self::Sns | Self::EventBridge | Self::AwsTraceHeader => "",
        }
    }
}

/// How the contexts of records are found: the same for the whole process.
pub(crate) struct Origins {
    propagator: Propagator,
    samples_root: Box<dyn Fn(TraceId) -> bool + Send + Sync>,
}

impl Origins {
    /// `samples_root` says whether the sampler would keep a trace that begins with this id: it
    /// decides where X-Ray did not.
    pub(crate) fn new(
        propagator: Propagator,
        samples_root: impl Fn(TraceId) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            propagator,
            samples_root: Box::new(samples_root),
        }
    }

    /// `true` if `OTEL_PROPAGATORS` lists `tracecontext`.
    pub(crate) fn has_trace_context(&self) -> bool {
        self.propagator.trace_context
    }
}

impl fmt::Debug for Origins {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Origins")
            .field("propagator", &self.propagator)
            .finish_non_exhaustive()
    }
}

/// What the sender of a message said about its trace.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    /// The producer's span; `None` when there is none, and the record starts a trace of its own.
    pub(crate) producer: Option<SpanContext>,
    /// The span that X-Ray knows the message by, for a link; `None` when it is the parent.
    pub(crate) xray: Option<SpanContext>,
    /// Where `producer` was found.
    pub(crate) carrier: Option<Carrier>,
    /// What was there and did not count.
    pub(crate) invalid: Option<InvalidContext>,
    baggage: Option<Box<str>>,
}

impl Origin {
    pub(crate) fn of(record: &Record<'_>, origins: &Origins) -> Self {
        let mut search = Search {
            propagator: origins.propagator,
            origin: Self::default(),
        };
        search.take(Carrier::MessageAttributes, record.trace_carrier());
        if !search.is_over() {
            search.try_rare_carriers(record);
        }
        if let Some(header) = record.trace_header() {
            search.take_xray(&header, origins);
        }
        search.origin
    }

    /// The context that the record's span is started in. There is no span in `root`: a record
    /// without a context must not become a child of whatever is active around it.
    pub(crate) fn parent(&self, root: &Context) -> Context {
        match &self.producer {
            Some(producer) => self.with_baggage(&with_remote_parent(root, producer.clone())),
            None => self.with_baggage(root),
        }
    }

    /// Returns `true` if the record starts a new trace although its `AWSTraceHeader` names a
    /// sampled span, and the record carries no other context.
    ///
    /// Returns `false` for `Sampled=0`, which AWS SDKs inside Lambda functions send without any
    /// tracing, and for a header without a sampling decision: the span may not exist in either
    /// case.
    pub(crate) fn is_joined_by_link_only(&self) -> bool {
        self.producer.is_none()
            && self.invalid.is_none()
            && self.xray.as_ref().is_some_and(SpanContext::is_sampled)
    }

    /// The context with the sender's baggage in it.
    pub(crate) fn with_baggage(&self, context: &Context) -> Context {
        match &self.baggage {
            Some(baggage) => with_baggage(context, baggage),
            None => context.clone(),
        }
    }
}

/// An origin while carriers are tried.
struct Search {
    propagator: Propagator,
    origin: Origin,
}

impl Search {
    /// Whether other W3C carriers need no look. Baggage alone is no reason to look where the parent
    /// is known.
    fn is_over(&self) -> bool {
        match self.propagator.trace_context {
            true => self.origin.producer.is_some(),
            false => !self.propagator.baggage || self.origin.baggage.is_some(),
        }
    }

    /// Tries the carriers that few records have: prefixed attributes, then envelopes in the body.
    fn try_rare_carriers(&mut self, record: &Record<'_>) {
        if let Some(prefixed) = record.prefixed_trace_carrier() {
            self.take(Carrier::PrefixedAttributes, prefixed);
        }
        if !self.is_over()
            && let Some(body) = record.enveloping_body()
        {
            self.look_into(&body);
        }
    }

    /// The SNS notification or the EventBridge event in a body, or the one in the other.
    fn look_into(&mut self, body: &str) {
        let Some(notification) = Notification::read(body) else {
            return self.look_into_event(body);
        };
        self.take(Carrier::Sns, notification.trace_carrier());
        if !self.is_over()
            && let Some(message) = notification.message()
        {
            self.look_into_event(&message);
        }
    }

    fn look_into_event(&mut self, text: &str) {
        let carriers = BridgeEvent::read(text).map(|event| event.trace_carriers());
        for carrier in carriers.into_iter().flatten() {
            if !self.is_over() {
                self.take(Carrier::EventBridge, carrier);
            }
        }
    }

    /// Only while the search is not over: with trace context listed, no parent is known yet.
    fn take(&mut self, carrier: Carrier, found: TraceCarrier<'_>) {
        if self.propagator.trace_context {
            self.take_parent(carrier, found.traceparent, found.tracestate);
        }
        if self.propagator.baggage && self.origin.baggage.is_none() {
            self.take_baggage(carrier, found.baggage);
        }
    }

    fn take_parent(&mut self, carrier: Carrier, parent: Value<'_>, state: Value<'_>) {
        let is_alone = parent == Value::Absent;
        let (parent, state) = (
            self.text(carrier, TRACEPARENT, parent),
            self.text(carrier, TRACESTATE, state),
        );
        let Some(parent) = parent else {
            if is_alone && state.is_some_and(|state| is_said(&state)) {
                self.note(carrier, Reason::TracestateAlone);
            }
            return;
        };
        let note = |reason| self.note(carrier, Reason::Tracestate(reason));
        match parse_trace_context_noting(&parent, state.as_deref(), note) {
            Ok(producer) => {
                self.origin.producer = Some(producer);
                self.origin.carrier = Some(carrier);
            }
            Err(reason) => self.note(carrier, Reason::Traceparent(reason)),
        }
    }

    /// Only baggage that says something counts as found: of other carriers the next one is tried.
    fn take_baggage(&mut self, carrier: Carrier, baggage: Value<'_>) {
        let Some(baggage) = self.text(carrier, BAGGAGE, baggage) else {
            return;
        };
        let note = |reason| self.note(carrier, Reason::Baggage(reason));
        if check_baggage(&baggage, note) {
            self.origin.baggage = Some(baggage.into());
        }
    }

    /// A parent when `xray` is listed and nothing else counted; otherwise a link.
    fn take_xray(&mut self, header: &str, origins: &Origins) {
        let is_carrier = self.propagator.xray && self.origin.producer.is_none();
        match parse_xray_header(header) {
            Ok(context) if is_carrier => {
                self.origin.producer = Some(context.into_parent(&origins.samples_root));
                self.origin.carrier = Some(Carrier::AwsTraceHeader);
            }
            Ok(context) => self.origin.xray = Some(context.span_context),
            // AWS writes such headers itself where nothing was traced: they name no span, and are
            // not wrong.
            Err(InvalidXrayHeader::NoParent) => {}
            Err(reason) => self.note(Carrier::AwsTraceHeader, Reason::Xray(reason)),
        }
    }

    fn text<'a>(
        &mut self,
        carrier: Carrier,
        part: &'static str,
        value: Value<'a>,
    ) -> Option<Cow<'a, str>> {
        let reason = match value {
            Value::Absent => return None,
            Value::Text(text) => return Some(text),
            Value::NoText => Reason::NoText(part),
            Value::Ambiguous => Reason::Ambiguous(part),
        };
        self.note(carrier, reason);
        None
    }

    fn note(&mut self, carrier: Carrier, reason: Reason) {
        let invalid = self.origin.invalid.get_or_insert_default();
        invalid.add(carrier, reason);
    }
}

/// Lists of nothing but separators say nothing, and are not wrong.
fn is_said(list: &str) -> bool {
    list.bytes().any(|byte| !b" \t,".contains(&byte))
}

#[cfg(test)]
mod tests;
